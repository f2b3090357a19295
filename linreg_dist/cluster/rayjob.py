"""`rayjob_manifest`: the same job for a Kubernetes cluster with KubeRay, as YAML for ``kubectl apply``.

The spec travels in a ConfigMap, mounted into the head's pod where the entrypoint runs. Environment variables
come from a Secret that the user makes: the manifest names them and holds no value. Fields are those of the
``ray.io/v1`` API: https://docs.ray.io/en/latest/cluster/kubernetes/getting-started/rayjob-quick-start.html
"""

from __future__ import annotations

import math
import os
import re
from decimal import Decimal
from importlib.metadata import version
from typing import Any

import yaml

from linreg_dist.cluster.shipment import SPEC_FILE, Shipment
from linreg_dist.errors import SpecError
from linreg_dist.jobspec import JobSpec
from linreg_dist.wording.secrets import with_templates
from linreg_dist.wording.text import safe_name

SPEC_FOLDER = "/etc/linreg-dist"
_LONGEST_NAME = 47  # KubeRay makes the names of pods and services from it, which may have 63 characters
_KEPT_AFTER_END_S = 600
_KUBERNETES_NAMES = {"CPU": "cpu", "GPU": "nvidia.com/gpu", "memory": "memory"}


def rayjob_manifest(spec: JobSpec, shipment: Shipment, image: str) -> str:
    """Return a ConfigMap and a RayJob as one YAML text.

    The cluster is made for the job and removed after it: a head that runs the entrypoint, and a pod per
    worker with ``scaling.resources_per_worker``. Without workers the head trains, with those resources.

    Args:
        spec: the job.
        shipment: the job from `pack` with ``spec_path`` in `SPEC_FOLDER`.
        image: a container image that has linreg_dist.

    Raises:
        SpecError: a resource has no name in Kubernetes, or the manifest would hold a secret.

    """
    name = _kubernetes_name(shipment.name)
    environment = _environment(shipment, f"{name}-env")
    resources = _resources(spec)
    workers = spec.scaling.max_workers
    head = _pod("ray-head", image, environment, None if workers else resources)
    head["spec"]["containers"][0]["volumeMounts"] = [{"name": "job", "mountPath": SPEC_FOLDER}]
    head["spec"]["volumes"] = [{"name": "job", "configMap": {"name": f"{name}-spec"}}]
    cluster: dict[str, Any] = {
        "rayVersion": version("ray"),
        # With workers no training worker belongs on the head, which has the entrypoint to run.
        "headGroupSpec": {"rayStartParams": {"num-cpus": "0"} if workers else {}, "template": head},
    }
    if workers:
        cluster["workerGroupSpecs"] = [
            {
                "groupName": "workers",
                "replicas": workers,
                "minReplicas": spec.scaling.min_workers,
                "maxReplicas": workers,
                "rayStartParams": {},
                "template": _pod("ray-worker", image, environment, resources),
            }
        ]
    job: dict[str, Any] = {
        "entrypoint": shipment.entrypoint,
        "submissionMode": "K8sJobMode",
        "metadata": dict(shipment.metadata),
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": _KEPT_AFTER_END_S,
        "rayClusterSpec": cluster,
    }
    if shipment.runtime_env != shipment.shown_runtime_env:
        raise SpecError(
            "cluster.runtime_env has a value from the environment, which the manifest would hold; expected "
            "such values in cluster.env only, which comes from a Secret"
        )
    if shipment.runtime_env:
        job["runtimeEnvYAML"] = yaml.safe_dump(dict(shipment.runtime_env), sort_keys=False)
    if spec.run.timeout_s is not None:
        # The job's own limit comes first and leaves a result; this one is for a job that no longer answers.
        job["activeDeadlineSeconds"] = int(spec.run.timeout_s) + _KEPT_AFTER_END_S
    documents = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"{name}-spec"},
            "data": {SPEC_FILE: shipment.spec_yaml},
        },
        {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": name}, "spec": job},
    ]
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return _comments(spec, shipment, f"{name}-env") + text


def _pod(
    container: str, image: str, environment: list[dict[str, Any]], resources: dict[str, str] | None
) -> dict[str, Any]:
    description: dict[str, Any] = {"name": container, "image": image}
    if environment:
        description["env"] = environment
    if resources:
        # Equal limits: Ray reads how much it has from the limits, and the scheduler from the requests.
        description["resources"] = {"limits": dict(resources), "requests": dict(resources)}
    return {"spec": {"containers": [description]}}


def _environment(shipment: Shipment, secret: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
        for name in sorted(shipment.environment)
    ]


def _resources(spec: JobSpec) -> dict[str, str]:
    wanted = dict(spec.scaling.resources_per_worker)
    if spec.scaling.use_gpu:
        wanted.setdefault("GPU", 1.0)
    unknown = sorted(wanted.keys() - _KUBERNETES_NAMES.keys())
    if unknown:
        raise SpecError(
            f"scaling.resources_per_worker has {', '.join(unknown)}, which a pod cannot be given; expected "
            f"{', '.join(_KUBERNETES_NAMES)}. Leave it out, and set it in the manifest's rayStartParams"
        )
    if "GPU" in wanted:
        wanted["GPU"] = math.ceil(wanted["GPU"])  # a pod has whole GPUs only
    return {_KUBERNETES_NAMES[key]: _quantity(amount) for key, amount in wanted.items()}


def _quantity(amount: float) -> str:
    """Return a number without an exponent."""
    return format(Decimal(str(amount)).normalize(), "f")


def _kubernetes_name(name: str) -> str:
    """Return a run's name as a name in Kubernetes: lower case letters, digits and hyphens."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return (text if text[:1].isalpha() else f"job-{text}")[:_LONGEST_NAME].rstrip("-")


def _comments(spec: JobSpec, shipment: Shipment, secret: str) -> str:
    """Return what the user has to see to before the manifest can work."""
    lines = []
    paths = [*spec.data.paths, *spec.data.validation.paths, spec.run.storage_path]
    mounted = sorted({safe_name(with_templates(path)) for path in paths if os.path.isabs(path)})
    if mounted:
        lines.append(f"# Mount a volume with these paths into every pod: {', '.join(mounted)}")
    if shipment.environment:
        literals = " ".join(f'--from-literal={name}="${name}"' for name in sorted(shipment.environment))
        lines.append(f"# Make the secret first: kubectl create secret generic {secret} {literals}")
    return "".join(f"{line}\n" for line in lines)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that the spec stays readable, and repeats no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: an alias in a manifest helps nobody."""
        return True


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style="|" if "\n" in text else None
    ),
)
