"""Makes rayjob.schema.json from the CRD that KubeRay installs: ``python tests/cluster/distil_rayjob.py CRD``.

The CRD is ray-operator/config/crd/bases/ray.io_rayjobs.yaml of github.com/ray-project/kuberay: 1.4 MB, most
of it Kubernetes' pods, written out four times. Kept is what a manifest of ours has, with the CRD's types and
required fields; descriptions go. Two things are added, which the API server does by other means: a key that
the CRD lacks is refused (there it would be dropped in silence, so that a misspelt field does nothing), and a
name has the 47 characters that KubeRay allows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

COMMIT = "feeaf72facab4881ba2b179248bb67315634e229"
KEPT = {
    "/spec": None,  # all of its own fields; of those with fields of their own, the ones below
    "/spec/submitterConfig": None,
    "/spec/rayClusterSpec": None,
    "/spec/rayClusterSpec/headGroupSpec": None,
    "/spec/rayClusterSpec/workerGroupSpecs/items": None,
}
POD = {
    "": {"spec"},
    "/spec": {"containers", "volumes", "serviceAccountName"},
    "/spec/containers/items": {"name", "image", "env", "resources", "volumeMounts"},
    "/spec/containers/items/env/items": {"name", "valueFrom"},  # a value would be a secret in the open
    "/spec/containers/items/env/items/valueFrom": {"secretKeyRef"},
    "/spec/containers/items/resources": {"limits", "requests"},
    "/spec/containers/items/volumeMounts/items": {"name", "mountPath", "readOnly"},
    "/spec/volumes/items": {"name", "configMap", "persistentVolumeClaim"},
    "/spec/volumes/items/configMap": {"name"},
}
_WITHOUT_FIELDS = {"description", "properties", "items", "additionalProperties"}


def distil(node: dict[str, Any], place: str, pod: str | None = None) -> dict[str, Any]:
    """Return a node of the CRD's schema with what is kept of it."""
    kept = {
        key: value
        for key, value in node.items()
        if key not in _WITHOUT_FIELDS and not key.startswith("x-kubernetes-")
    }
    if node.get("x-kubernetes-int-or-string"):
        kept = {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            **{k: v for k, v in kept.items() if k == "pattern"},
        }
    if "items" in node:
        kept["items"] = distil(node["items"], f"{place}/items", None if pod is None else f"{pod}/items")
    if isinstance(node.get("additionalProperties"), dict):
        kept["additionalProperties"] = distil(node["additionalProperties"], f"{place}/*", pod and f"{pod}/*")
    if "properties" in node:
        names = set(node["properties"]) if pod is None else POD.get(pod, set(node["properties"]))
        kept["properties"] = {}
        for name, child in sorted(node["properties"].items()):
            if name not in names:
                continue
            below = f"{place}/{name}"
            if pod is None and name == "template":
                kept["properties"][name] = distil(child, below, "")
            elif pod is None and "properties" in child and below not in KEPT:
                kept["properties"][name] = {"type": child["type"]}
            elif pod is None and "properties" in child.get("items", {}) and f"{below}/items" not in KEPT:
                kept["properties"][name] = {"type": "array"}
            else:
                kept["properties"][name] = distil(child, below, None if pod is None else f"{pod}/{name}")
        kept["additionalProperties"] = False
    return kept


def main(crd: str) -> None:
    """Write the schema beside this file."""
    document = yaml.safe_load(Path(crd).read_text())
    (version,) = [each for each in document["spec"]["versions"] if each["name"] == "v1"]
    spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "RayJob, ray.io/v1: the fields that a manifest of ours may have",
        "description": f"Distilled by distil_rayjob.py from ray.io_rayjobs.yaml of kuberay {COMMIT}.",
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": "ray.io/v1"},
            "kind": {"const": "RayJob"},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "maxLength": 47, "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}
                },
            },
            "spec": distil(spec, "/spec"),
        },
    }
    text = json.dumps(schema, indent=1) + "\n"
    Path(__file__).with_name("rayjob.schema.json").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
