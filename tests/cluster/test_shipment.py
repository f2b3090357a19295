from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linreg_dist.cli import main as cli_main
from linreg_dist.cluster import pack
from linreg_dist.errors import SpecError
from linreg_dist.jobspec import DataSpec, JobSpec, load_spec, spec_hash

JobFile = Callable[..., Path]


def read_sent(text: str, tmp_path: Path, environ: dict[str, str]) -> JobSpec:
    """Read a spec as the cluster does: in another folder, with the environment that was sent."""
    file = tmp_path / "elsewhere" / "job.yaml"
    file.parent.mkdir()
    file.write_text(text)
    return load_spec(file, environ=environ)


class TestPack:
    def test_the_spec_that_arrives_is_the_one_that_was_sent_without_its_cluster(
        self, job_file: JobFile, tmp_path: Path
    ) -> None:
        spec = load_spec(
            job_file("model: {l2: 0.5}\ncluster: {address: 'http://head:8265', runtime_env: {pip: [x]}}\n")
        )
        shipment = pack(spec, environ={})
        arrived = read_sent(shipment.spec_yaml, tmp_path, {})
        assert spec_hash(arrived) == spec_hash(spec) == shipment.metadata["linreg_dist.spec_hash"]
        assert (arrived.name, arrived.run) == (spec.name, spec.run)
        assert (arrived.cluster.address, arrived.cluster.runtime_env) == (None, {})
        assert shipment.runtime_env == {"pip": ["x"]}
        assert shipment.metadata["linreg_dist.run_folder"] == str(tmp_path / "runs" / "job")

    def test_secrets_travel_as_environment_only(
        self, job_file: JobFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LRD_BUCKET", "s3://hidden-bucket")
        monkeypatch.setenv("LRD_KEY", "hunter2")
        monkeypatch.setenv("LRD_UNUSED", "stays here")
        more = (
            "cluster: {env: {KEY: '${LRD_KEY}', LITERAL: plain-secret},"
            " runtime_env: {env_vars: {THIRD: other-secret}}}\n"
        )
        spec = load_spec(job_file(more), ["data.path=${LRD_BUCKET}/rows"])
        shipment = pack(spec)
        assert shipment.environment == {
            "LRD_BUCKET": "s3://hidden-bucket",
            "KEY": "hunter2",
            "LITERAL": "plain-secret",
            "THIRD": "other-secret",
        }
        shown = json.dumps(shipment.shown())
        for secret in ("hidden-bucket", "hunter2", "plain-secret", "other-secret"):
            assert secret not in shipment.spec_yaml + shown
        arrived = read_sent(shipment.spec_yaml, tmp_path, dict(shipment.environment))
        assert arrived.data.path == "s3://hidden-bucket/rows"
        assert arrived.cluster.env == {"KEY": "hunter2", "LITERAL": "plain-secret"}

    def test_one_variable_with_two_values_is_refused(self, job_file: JobFile) -> None:
        spec = load_spec(
            job_file("cluster: {env: {LRD_DATA: other}}\n"),
            ["data.path=/${LRD_DATA}"],
            environ={"LRD_DATA": "x"},
        )
        with pytest.raises(SpecError, match=r"cluster\.env\.LRD_DATA differs from the environment variable"):
            pack(spec, environ={"LRD_DATA": "x"})

    def test_a_relative_path_is_refused(self) -> None:
        spec = JobSpec(data=DataSpec(path="rows", target="y"))
        with pytest.raises(SpecError, match=r'data\.path is "rows"; expected an absolute path or a URI'):
            pack(spec)

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            ("matrix: {model.l2: [0, 1]}\n", "the spec has a matrix"),
            (
                "cluster: {runtime_env: {working_dir: /code}}\n",
                "cluster.runtime_env.working_dir cannot be used",
            ),
        ],
    )
    def test_what_cannot_be_sent_is_refused(self, more: str, message: str, job_file: JobFile) -> None:
        with pytest.raises(SpecError, match=message):
            pack(load_spec(job_file(more)))

    def test_the_package_is_sent_on_request(self, job_file: JobFile) -> None:
        shipment = pack(
            load_spec(job_file("cluster: {runtime_env: {py_modules: [/mine]}}\n")), ship_package=True
        )
        mine, package = shipment.runtime_env["py_modules"]
        assert mine == "/mine"
        assert Path(package, "cluster", "shipment.py").is_file()
        assert Path(package).name == "linreg_dist"


class TestDryRun:
    @pytest.fixture
    def call(self, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
        def run(*arguments: Any) -> tuple[int, str, str]:
            code = cli_main.run([str(argument) for argument in arguments])
            captured = capsys.readouterr()
            return code, captured.out, captured.err

        return run

    def test_it_prints_what_would_be_sent_and_needs_no_cluster(
        self,
        job_file: JobFile,
        call: Callable[..., tuple[int, str, str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("SECRET", "hunter2")
        file = job_file("cluster: {address: 'http://127.0.0.1:9', env: {SECRET: '${SECRET}'}}\n")
        code, out, err = call("submit", file, "--dry-run", "--fresh", "--json")
        document = json.loads(out)
        assert (code, err) == (0, "")
        assert document["address"] == "http://127.0.0.1:9"
        assert document["entrypoint"].startswith("sh python.sh -P -m linreg_dist train job.yaml --json")
        assert document["entrypoint"].endswith(" --fresh")
        assert document["runtime_env"]["env_vars"] == {"SECRET": "***"}
        assert "name: job\n" in document["files"]["job.yaml"]
        assert "hunter2" not in out
        code, out, _ = call("submit", file, "--dry-run", "--address", "http://head:8265/")
        assert code == 0
        assert out.startswith("would send job to http://head:8265\n")

    @pytest.mark.parametrize("arguments", [("-o", "rayjob", "--image", "x"), ("-o", "rayjob", "--dry-run")])
    def test_a_manifest_needs_dry_run_and_an_image(
        self,
        arguments: tuple[str, ...],
        job_file: JobFile,
        call: Callable[..., tuple[int, str, str]],
    ) -> None:
        assert call("submit", job_file(), *arguments)[0] == 2

    def test_nobody_at_the_address_is_exit_4_at_once(
        self, job_file: JobFile, call: Callable[..., tuple[int, str, str]]
    ) -> None:
        for verb in (("submit", job_file()), ("status", "job"), ("logs", "job"), ("stop", "job"), ("list",)):
            code, _, err = call(*verb, "--address", "http://127.0.0.1:9")
            assert code == 4
            assert err.startswith("Error: no job server answers at http://127.0.0.1:9: ")

    def test_an_address_for_train_is_exit_2(
        self, job_file: JobFile, call: Callable[..., tuple[int, str, str]]
    ) -> None:
        code, _, err = call("submit", job_file(), "--address", "ray://head:10001")
        assert code == 2
        assert "ray://head:10001 is not the address of a job server; expected http://host:8265" in err
