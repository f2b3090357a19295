"""Secrets in a job spec: literal ones are refused, those of the environment are never written."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from linreg_dist.errors import SpecError
from linreg_dist.jobspec import JobSpec, expand_matrix, load_spec, resolved_yaml
from linreg_dist.wording.secrets import shown

MINIMAL: dict[str, Any] = {"data": {"path": "/data", "target": "y"}}
NAMES = ["AWS_SECRET_ACCESS_KEY", "MY_TOKEN", "DB_PASSWORD", "CREDENTIAL", "API_SECRET"]
PLACES = ["cluster.env.{name}", "cluster.runtime_env.env_vars.{name}", "cluster.runtime_env.container.{name}"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", ["s3cr3t", 51737])
def test_a_literal_secret_is_refused_by_name_and_without_its_value(place: str, name: str, value: Any) -> None:
    path = place.format(name=name)
    for overrides in ({path: value}, [f"{path}={value}"], {f"matrix.{path}": value}):
        if "matrix" in str(overrides):
            spec, overrides = {**MINIMAL, "matrix": {path: [value]}}, {}
        else:
            spec = MINIMAL
        with pytest.raises(SpecError) as refused:
            load_spec(spec, overrides)
        assert name in str(refused.value)
        assert str(value) not in str(refused.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", PLACES)
def test_a_secret_of_the_environment_is_taken_and_not_written(place: str, name: str) -> None:
    spec = load_spec(MINIMAL, {place.format(name=name): "${SOURCE_X}"}, environ={"SOURCE_X": "s3cr3t-value"})
    assert "s3cr3t" not in resolved_yaml(spec)
    assert "s3cr3t" in str(spec.model_dump())
    assert "s3cr3t" not in shown("it said s3cr3t-value")


@pytest.mark.parametrize("value", ["true", "false", ""])
def test_a_switch_is_no_secret(value: str) -> None:
    load_spec({**MINIMAL, "cluster": {"env": {"USE_TOKEN": value}}})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cluster.address", "http://u:s3cr3t@host:8265"),
        ("cluster.address", "ray://u:s3cr3t@host:10001"),
        ("cluster.address", "u:s3cr3t@host:6379"),
        ("cluster.runtime_env.pip", ["--extra-index-url https://u:s3cr3t@host/simple"]),
        ("cluster.runtime_env.pip", ["git+https://s3cr3t@host/x.git"]),
        ("cluster.runtime_env.working_dir", "https://host/x.zip?X-Amz-Signature=s3cr3t"),
        ("cluster.env.URL", "postgres://u:s3cr3t@host/x"),
        ("tracking.mlflow", {"uri": "https://u:s3cr3t@host"}),
    ],
)
def test_a_literal_address_with_credentials_is_refused(field: str, value: Any) -> None:
    with pytest.raises(SpecError, match=r"credentials") as refused:
        load_spec(MINIMAL, {field: value})
    assert "s3cr3t" not in str(refused.value)
    assert field.split(".")[0] in str(refused.value)


@pytest.mark.parametrize(
    ("field", "template"),
    [
        ("cluster.env.X", "${TEST_TOKEN:-s3cr3t}"),
        ("cluster.env.MY_TOKEN", "${X:-s3cr3t}"),
        ("data.path", "/d/${TEST_TOKEN:-s3cr3t}"),
        ("cluster.address", "http://u:s3cr3t@${HOST}:1"),
        ("cluster.env.URL", "mysql://${USER}:s3cr3t@host"),
    ],
)
def test_a_literal_secret_beside_a_variable_is_refused(field: str, template: str) -> None:
    environ = dict.fromkeys(("TEST_TOKEN", "X", "HOST", "USER"), "q17q")
    with pytest.raises(SpecError, match=r"job\.yaml") as refused:
        load_spec(MINIMAL, {field: template}, environ=environ)
    assert "s3cr3t" not in str(refused.value)


def test_a_password_of_the_environment_in_an_address_is_taken() -> None:
    fields = {
        "cluster.env.URL": "mysql://me:${TEST_PW}@host",
        "cluster.address": "http://u:${TEST_PW}@host:1",
    }
    spec = load_spec(MINIMAL, fields, environ={"TEST_PW": "hush-19"})
    assert "hush" not in resolved_yaml(spec)


@pytest.mark.parametrize("field", ["name", "data.target", "run.storage_path", "data.weight", "model.loss"])
def test_a_variable_that_is_a_secret_by_name_is_refused_where_its_value_is_written(field: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_spec(MINIMAL, {field: "${TEST_TOKEN}"}, environ={"TEST_TOKEN": "hush17"})
    assert "${TEST_TOKEN}" in str(refused.value)
    assert "hush17" not in str(refused.value)


def test_settings_that_are_wrong_do_not_repeat_a_secret() -> None:
    for text in ("cluster.env.TOKEN:s3cr3t", "cluster.env.TOKEN=[s3cr3t", "cluster.env.TOKEN={a: s3cr3t"):
        with pytest.raises(SpecError) as refused:
            load_spec(MINIMAL, [text])
        assert "s3cr3t" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/srv/${P}", "/srv/${P}/x.parquet"),
        ("/srv/d-${P}/*.parquet", "/srv/d-${P}/x.parquet"),
        ("s3://bucket/${P}/y", "s3://bucket/${P}/y/x.parquet"),
        ("s3://bucket/${P}/y", "bucket/${P}/y/x.parquet"),
        ("s3://bucket/a/${P}/*.parquet", "bucket/a/${P}/x.parquet"),
        ("/srv/${P}'s/y", '"/srv/${P}\'s/y"'),
    ],
)
def test_a_value_in_a_path_is_shown_as_it_was_written_in_another_process_too(path: str, seen: str) -> None:
    value = "k" + str(abs(hash(path)))[:4]
    spec = load_spec({"data": {"path": path, "target": "y"}}, environ={"P": value})
    assert spec.shown_paths() == [path]
    assert isinstance(pickle.loads(pickle.dumps(spec)), JobSpec)  # noqa: S301 (our own bytes)
    assert shown(f"cannot read {seen.replace('${P}', value)}") == f"cannot read {seen}"


def test_each_job_of_a_matrix_shows_its_paths_as_they_were_written() -> None:
    spec = load_spec(
        {**MINIMAL, "matrix": {"data.path": ["/m/${TEST_M}", "/n"]}}, environ={"TEST_M": "hush-hush"}
    )
    assert [job.shown_paths() for job in expand_matrix(spec)] == [["/m/${TEST_M}"], ["/n"]]


def test_a_relative_path_with_a_value_keeps_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = load_spec({"data": {"path": ["a", "d-${P}"], "target": "y"}}, environ={"P": "x17"})
    assert spec.shown_paths() == [str(tmp_path / "a"), f"{tmp_path}/d-${{P}}"]
