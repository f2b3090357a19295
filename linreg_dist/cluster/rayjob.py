"""`rayjob_manifest`: the same job for a Kubernetes cluster with KubeRay, as YAML for ``kubectl apply``.

The spec travels in a ConfigMap, mounted into the head's pod where the entrypoint runs. Environment variables
come from a Secret that the user makes: the manifest names them and holds no value. Volume claims are mounted
into every pod. Fields are those of the ``ray.io/v1`` API:
https://docs.ray.io/en/latest/cluster/kubernetes/getting-started/rayjob-quick-start.html
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
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
_HEAD_REQUESTS = {
    "cpu": "1",
    "memory": "2Gi",
}  # of a head that trains nothing: Ray's processes and the driver
_CLAIM = re.compile(r"([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?):(/[^:]*)(:ro)?")
_SERVICE_ACCOUNT = re.compile(r"[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True)
class Volume:
    """A persistent volume claim, and where the pods see it.

    Attributes:
        claim: its name.
        path: an absolute path.
        read_only: the pods may not write there.

    """

    claim: str
    path: str
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Volume:
        """Return the volume that ``CLAIM:PATH`` or ``CLAIM:PATH:ro`` names.

        Raises:
            SpecError: it names none.

        """
        found = _CLAIM.fullmatch(text)
        if found is None:
            raise SpecError(
                f'"{safe_name(text)}" is no volume; expected CLAIM:PATH, such as flights-data:/data, or '
                "CLAIM:PATH:ro, with the name of a persistent volume claim and an absolute path"
            )
        return cls(found[1], os.path.normpath(found[2]), found[3] is not None)

    def holds(self, path: str) -> bool:
        """Return whether a path lies on it."""
        return os.path.commonpath([self.path, os.path.normpath(path)]) == self.path


@dataclass(frozen=True)
class Pods:
    """What all pods of the job have in common.

    Attributes:
        image: a container image that has linreg_dist and the Ray of this environment.
        volumes: claims to mount.
        service_account: of the pods, for a cloud's storage; None for the namespace's.

    """

    image: str
    volumes: Sequence[Volume] = ()
    service_account: str | None = None


def rayjob_manifest(spec: JobSpec, shipment: Shipment, pods: Pods, *, retries: int = 0) -> str:
    """Return a ConfigMap and a RayJob as one YAML text.

    The cluster is made for the job and removed after it: a head that runs the entrypoint, and a pod per
    worker with ``scaling.resources_per_worker``. Without workers the head trains, with those resources.

    Args:
        spec: the job.
        shipment: the job from `pack` with ``spec_path`` in `SPEC_FOLDER`.
        pods: what they run and mount.
        retries: KubeRay's ``backoffLimit``: how often a job that failed is started again, on a new cluster.

    Raises:
        SpecError: a resource has no name in Kubernetes, the manifest would hold a secret, two volumes are at
            one path, or retries would start over.

    """
    name = _kubernetes_name(shipment.name)
    _check_pods(pods)
    _check_retries(spec, shipment, pods, retries)
    environment = _environment(shipment, f"{name}-env")
    resources = _resources(spec)
    workers = spec.scaling.max_workers
    head = _pod("ray-head", pods, environment, None if workers else resources)
    _mount(head, {"name": "job", "configMap": {"name": f"{name}-spec"}}, SPEC_FOLDER)
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
                "template": _pod("ray-worker", pods, environment, resources),
            }
        ]
    job: dict[str, Any] = {
        "entrypoint": shipment.entrypoint,
        "submissionMode": "K8sJobMode",
        "backoffLimit": retries,
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
    return _comments(spec, shipment, pods, f"{name}-env", retries) + text


def _check_pods(pods: Pods) -> None:
    paths = [volume.path for volume in pods.volumes]
    twice = sorted({path for path in paths if paths.count(path) > 1 or path == SPEC_FOLDER})
    if twice:
        raise SpecError(f"two volumes are at {twice[0]}; expected one at each path")
    if pods.service_account is not None and not _SERVICE_ACCOUNT.fullmatch(pods.service_account):
        raise SpecError(
            f'"{safe_name(pods.service_account)}" is no name of a service account; expected lower case '
            "letters, digits, hyphens and dots"
        )


def _check_retries(spec: JobSpec, shipment: Shipment, pods: Pods, retries: int) -> None:
    if not retries:
        return
    if "--fresh" in shipment.entrypoint:
        raise SpecError("--fresh would start over at every retry; expected --retries without it")
    storage = spec.run.storage_path
    if os.path.isabs(storage) and not any(volume.holds(storage) for volume in pods.volumes):
        raise SpecError(
            f"a retry gets a new cluster, and {safe_name(with_templates(storage))} is gone with the old one; "
            "expected run.storage_path on a volume (--volume CLAIM:PATH) or on an object store"
        )


def _pod(
    container: str, pods: Pods, environment: list[dict[str, Any]], resources: dict[str, str] | None
) -> dict[str, Any]:
    description: dict[str, Any] = {"name": container, "image": pods.image}
    if environment:
        description["env"] = environment
    if resources:
        # Equal limits: Ray reads how much it has from the limits, and the scheduler from the requests.
        description["resources"] = {"limits": dict(resources), "requests": dict(resources)}
    elif resources is None:
        description["resources"] = {"requests": dict(_HEAD_REQUESTS)}
    pod: dict[str, Any] = {"spec": {"containers": [description]}}
    if pods.service_account:
        pod["spec"]["serviceAccountName"] = pods.service_account
    for number, volume in enumerate(pods.volumes):
        claim: dict[str, Any] = {"claimName": volume.claim}
        if volume.read_only:
            claim["readOnly"] = True
        _mount(
            pod,
            {"name": f"volume-{number}", "persistentVolumeClaim": claim},
            volume.path,
            read_only=volume.read_only,
        )
    return pod


def _mount(pod: dict[str, Any], volume: dict[str, Any], path: str, *, read_only: bool = False) -> None:
    """Add a volume to a pod."""
    mount = {"name": volume["name"], "mountPath": path, **({"readOnly": True} if read_only else {})}
    (container,) = pod["spec"]["containers"]
    container.setdefault("volumeMounts", []).append(mount)
    pod["spec"].setdefault("volumes", []).append(volume)


def _environment(shipment: Shipment, secret: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": name}}}
        for name in sorted(shipment.environment)
    ]


def _resources(spec: JobSpec) -> dict[str, str]:
    wanted = dict(spec.scaling.resources_per_worker)
    if spec.scaling.asks_for_gpu:
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


def _comments(spec: JobSpec, shipment: Shipment, pods: Pods, secret: str, retries: int) -> str:
    """Return what the user has to see to before the manifest can work, and what it does not do."""
    lines = []
    paths = [*spec.data.paths, *spec.data.validation.paths, spec.run.storage_path]
    missing = sorted(
        {
            safe_name(with_templates(path))
            for path in paths
            if os.path.isabs(path) and not any(volume.holds(path) for volume in pods.volumes)
        }
    )
    if missing:
        lines.append(f"# Mount a volume with these paths into every pod (--volume): {', '.join(missing)}")
    if shipment.environment:
        literals = " ".join(f'--from-literal={name}="${name}"' for name in sorted(shipment.environment))
        lines.append(f"# Make the secret first: kubectl create secret generic {secret} {literals}")
    if retries:
        lines.append(
            "# Each retry makes a new cluster and continues the run. KubeRay retries a wrong spec or"
        )
        lines.append("# wrong data too: check them first with linreg-dist validate --data.")
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
