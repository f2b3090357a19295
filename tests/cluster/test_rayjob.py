"""The manifest against `rayjob.schema.json`, which `distil_rayjob` makes from KubeRay's published CRD."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from linreg_dist.cluster import pack, rayjob_manifest
from linreg_dist.cluster.rayjob import SPEC_FOLDER, Pods, Volume
from linreg_dist.errors import SpecError
from linreg_dist.jobspec import load_spec

SCHEMA = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text())
JobFile = Callable[..., Path]


def manifest(
    file: Path,
    *overrides: str,
    volumes: Sequence[str] = (),
    account: str | None = None,
    retries: int = 0,
    fresh: bool = False,
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the text, the ConfigMap and the RayJob, checked."""
    spec = load_spec(file, overrides)
    pods = Pods("registry/linreg:1", [Volume.parse(text) for text in volumes], account)
    packed = pack(spec, spec_path=f"{SPEC_FOLDER}/job.yaml", fresh=fresh)
    text = rayjob_manifest(spec, packed, pods, retries=retries)
    config, job = yaml.safe_load_all(text)
    jsonschema.validate(job, SCHEMA)
    return text, config, job


def test_workers_become_pods_with_their_resources(job_file: JobFile) -> None:
    file = job_file(
        "scaling: {num_workers: [2, 4], use_gpu: true, resources_per_worker: {CPU: 8, memory: 1.0e+11}}\n"
    )
    _, _, job = manifest(file, "run.timeout_s=100")
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert (group["replicas"], group["minReplicas"], group["maxReplicas"]) == (4, 2, 4)
    (container,) = group["template"]["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "8", "memory": "100000000000", "nvidia.com/gpu": "1"}
    assert job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}
    assert job["spec"]["activeDeadlineSeconds"] > 100


def test_without_workers_the_head_has_the_resources(job_file: JobFile) -> None:
    cluster = manifest(job_file(), "scaling.resources_per_worker={CPU: 0.5}")[2]["spec"]["rayClusterSpec"]
    assert "workerGroupSpecs" not in cluster
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    assert head["resources"]["requests"] == {"cpu": "0.5"}


def test_the_spec_is_mounted_where_the_entrypoint_reads_it(job_file: JobFile, tmp_path: Path) -> None:
    text, config, job = manifest(job_file())
    pod = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    (volume,) = pod["volumes"]
    assert (mount["name"], volume["configMap"]["name"]) == (volume["name"], config["metadata"]["name"])
    assert f"{mount['mountPath']}/job.yaml" in job["spec"]["entrypoint"]
    assert config["data"]["job.yaml"] == pack(load_spec(tmp_path / "job.yaml")).spec_yaml
    missing = f"# Mount a volume with these paths into every pod (--volume): {tmp_path}/rows.parquet"
    assert missing in text


def test_secrets_are_named_and_not_there(job_file: JobFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    text, _, job = manifest(job_file("cluster: {env: {SECRET: '${SECRET}'}, runtime_env: {pip: [x]}}\n"))
    pod = job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    assert pod["containers"][0]["env"] == [
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "job-env", "key": "SECRET"}}}
    ]
    assert yaml.safe_load(job["spec"]["runtimeEnvYAML"]) == {"pip": ["x"]}
    assert 'kubectl create secret generic job-env --from-literal=SECRET="$SECRET"' in text
    assert "hunter2" not in text


def test_a_value_of_the_environment_in_the_runtime_env_is_refused(
    job_file: JobFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INDEX_TOKEN", "hunter2")
    file = job_file("cluster: {runtime_env: {pip: ['https://${INDEX_TOKEN}@host/x']}}\n")
    with pytest.raises(SpecError, match=r"cluster\.runtime_env has a value from the environment") as refused:
        manifest(file)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Flights_2.v1", "flights-2-v1"), ("2024", "job-2024"), ("a" * 46 + "-" + "b" * 50, "a" * 46)],
)
def test_a_run_s_name_becomes_one_that_kubernetes_takes(name: str, expected: str, job_file: JobFile) -> None:
    assert manifest(job_file(), f"name='{name}'")[2]["metadata"]["name"] == expected


def test_a_resource_that_pods_do_not_have_is_refused(job_file: JobFile) -> None:
    with pytest.raises(SpecError, match="has fast_disk, which a pod cannot be given"):
        manifest(job_file(), "scaling.resources_per_worker={fast_disk: 1}")


def test_claims_are_mounted_into_every_pod(job_file: JobFile, tmp_path: Path) -> None:
    volumes = [f"runs-claim:{tmp_path}/runs/", f"data.claim:{tmp_path}:ro"]
    text, _, job = manifest(job_file(), "scaling.num_workers=2", volumes=volumes, account="trainer")
    assert "Mount a volume" not in text
    cluster = job["spec"]["rayClusterSpec"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    worker = cluster["workerGroupSpecs"][0]["template"]["spec"]
    for pod in (head, worker):
        assert pod["serviceAccountName"] == "trainer"
        claims = {each["name"]: each.get("persistentVolumeClaim") for each in pod["volumes"]}
        mounted = {
            mount["mountPath"]: (claims[mount["name"]], mount.get("readOnly", False))
            for mount in pod["containers"][0]["volumeMounts"]
        }
        assert mounted[f"{tmp_path}/runs"] == ({"claimName": "runs-claim"}, False)
        assert mounted[f"{tmp_path}"] == ({"claimName": "data.claim", "readOnly": True}, True)
    assert SPEC_FOLDER in {mount["mountPath"] for mount in head["containers"][0]["volumeMounts"]}
    assert "limits" not in head["containers"][0]["resources"], "of a head that trains nothing"


@pytest.mark.parametrize("text", ["claim", "claim:data", "Claim:/data", "claim:/data:rw", ":/data", "claim:"])
def test_what_is_no_volume_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is no volume; expected CLAIM:PATH"):
        Volume.parse(text)


def test_a_path_that_only_begins_like_a_volume_is_not_on_it() -> None:
    volume = Volume.parse("claim:/data/")
    assert volume.holds("/data")
    assert volume.holds("/data/x.parquet")
    assert not volume.holds("/database/x.parquet")
    assert not volume.holds("/data/../x.parquet")
    assert Volume.parse("claim:/").holds("/anything")


def test_two_volumes_at_one_path_are_refused(job_file: JobFile) -> None:
    with pytest.raises(SpecError, match="two volumes are at /data"):
        manifest(job_file(), volumes=["a:/data", "b:/data/"])
    with pytest.raises(SpecError, match=f"two volumes are at {SPEC_FOLDER}"):
        manifest(job_file(), volumes=[f"a:{SPEC_FOLDER}"])
    with pytest.raises(SpecError, match="is no name of a service account"):
        manifest(job_file(), account="Trainer!")


def test_retries_need_a_run_that_outlives_the_cluster(job_file: JobFile, tmp_path: Path) -> None:
    text, _, job = manifest(job_file(), volumes=[f"claim:{tmp_path}"], retries=3)
    assert job["spec"]["backoffLimit"] == 3
    assert "# Each retry makes a new cluster and continues the run." in text
    assert manifest(job_file(), "run.storage_path=s3://b/runs", retries=1)[2]["spec"]["backoffLimit"] == 1
    assert manifest(job_file())[2]["spec"]["backoffLimit"] == 0
    with pytest.raises(SpecError, match=r"a retry gets a new cluster, and .*/runs is gone with the old one"):
        manifest(job_file(), volumes=["claim:/elsewhere"], retries=1)
    with pytest.raises(SpecError, match="--fresh would start over at every retry"):
        manifest(job_file(), volumes=[f"claim:{tmp_path}"], retries=1, fresh=True)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda job: job["spec"].update(entryPoint="x"),
        lambda job: job.update(apiVersion="ray.io/v1alpha1"),
        lambda job: job["spec"].update(backoffLimit="2"),
        lambda job: job["spec"]["rayClusterSpec"].pop("headGroupSpec"),
        lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"].pop("containers"),
        lambda job: job["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"].update({"num-cpus": 0}),
    ],
)
def test_the_schema_refuses_what_kuberay_would(
    break_it: Callable[[dict[str, Any]], None], job_file: JobFile
) -> None:
    job = manifest(job_file())[2]
    break_it(job)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, SCHEMA)
