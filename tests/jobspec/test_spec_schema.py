from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import linreg_dist
from linreg_dist.jobspec import json_schema, load_spec, resolved_yaml

Write = Callable[[str, str], str]

COMMITTED = Path(linreg_dist.__file__).parent / "jobspec" / "job.schema.json"
DRAFT_7 = {
    "$ref", "$schema", "$id", "additionalProperties", "anyOf", "const", "default", "description", "enum",
    "exclusiveMaximum", "exclusiveMinimum",
    "if", "items", "maxItems", "maximum", "minItems", "minLength", "minimum",
    "not", "pattern", "propertyNames", "properties", "required", "then", "title", "type", "uniqueItems",
}  # fmt: skip

EVERYTHING = """\
version: 1
name: flights
data:
  path: [data/flights, s3://bucket/more]
  target: [arr_delay, dep_delay]
  features: [distance, carrier]
  exclude: [tailnum]
  weight: w
  weight_type: frequency
  cluster: tailnum
  filter: [[[dep_delay, "<", 600]], [[carrier, in, [AA, UA]], [month, "=", 1]]]
  missing: drop
  categorical: {carrier: auto, distance: [1, true, long]}
  unseen: zero
  max_levels: 50
  validation: {method: path, path: held, fraction: 0.1, seed: 3}
model: {loss: squared, huber_epsilon: 2, fit_intercept: false, standardize: true, covariance: cluster}
solver: {name: exact, epochs: 3, learning_rate: 1e-3, schedule: cosine, early_stop: null}
tune: {l2: [0, 0.1], l1_ratio: [0, 0.5], folds: 3}
scaling:
  num_workers: [1, 4]
  use_gpu: true
  resources_per_worker: {CPU: 2, GPU: 0.5}
  virtual_shards: 24
  memory_budget: 4GiB
run: {storage_path: runs, checkpoint_every_s: 5, num_to_keep: 1, max_failures: -1, timeout_s: 60}
cluster: {address: auto, runtime_env: {pip: [x]}, env: {A: b}}
outputs: {report: false, export: [onnx]}
tracking: {mlflow: {uri: "http://m", experiment: e}, tensorboard: true}
matrix: {model.fit_intercept: [true, false]}
"""


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema())


def test_the_committed_schema_is_in_sync() -> None:
    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    assert COMMITTED.read_text(encoding="utf-8") == text, (
        "run: linreg-dist schema > linreg_dist/jobspec/job.schema.json"
    )


def test_the_schema_is_valid_in_its_own_draft_and_in_draft_7() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.Draft7Validator.check_schema(json_schema())


def test_only_keywords_that_editors_know_are_used() -> None:
    assert set(_keywords(json_schema())) <= DRAFT_7 | {"$defs"}


def test_every_field_has_a_description() -> None:
    schema = json_schema()
    sections = {"": schema, **schema["$defs"]}
    without = [
        f"{name}.{field}"
        for name, section in sections.items()
        for field, body in section.get("properties", {}).items()
        if "description" not in body and "description" not in schema["$defs"][body["$ref"].rpartition("/")[2]]
    ]
    assert without == []


def test_a_spec_with_every_field_is_valid_for_both(write: Write, validator: Any) -> None:
    file = write("job.yaml", EVERYTHING)
    spec = load_spec(file)
    assert spec.model_fields_set >= set(type(spec).model_fields) - {"_interpolated"}
    result = _check_jsonschema(file)
    assert result.returncode == 0, result.stdout


def test_a_resolved_spec_is_valid(write: Write) -> None:
    spec = load_spec(write("job.yaml", EVERYTHING))
    assert _check_jsonschema(write("runs/job.yaml", resolved_yaml(spec))).returncode == 0


@pytest.mark.parametrize(
    "instance",
    [
        {"data": {"path": "a", "target": "y"}, "solver": {"epochs": "${EPOCHS}", "schedule": "${S:-cosine}"}},
        {"name": "run-${ID}", "data": {"path": "a", "target": "y"}, "outputs": {"export": ["${E}"]}},
        {"extends": "base.yaml", "data": {"target": "y"}, "tune": {"folds": 3}},
    ],
)
def test_references_to_the_environment_and_to_a_base_are_allowed(instance: object, validator: Any) -> None:
    assert [error.message for error in validator.iter_errors(instance)] == []


@pytest.mark.parametrize(
    "instance",
    [
        {"data": {"path": "a"}},
        {},
        {"data": {"path": "a", "target": "y"}, "tune": {"folds": 3}},
        {"data": {"path": "a", "target": "y", "features": []}},
        {"data": {"path": "a", "target": "y", "features": ["a", "a"]}},
        {"data": {"path": "a", "target": "y"}, "colour": "red"},
        {"data": {"path": "a", "target": "y"}, "solver": {"epochs": 0}},
        {"data": {"path": "a", "target": "y"}, "solver": {"schedule": "cosin"}},
        {"data": {"path": "a", "target": "y"}, "scaling": {"num_workers": [1, 2, 3]}},
        {"data": {"path": "a", "target": "y", "filter": [["a", "<"]]}},
        {"version": 2, "data": {"path": "a", "target": "y"}},
    ],
)
def test_what_the_schema_refuses_the_package_refuses_too(
    instance: dict[str, Any], validator: Any, errors_of: Callable[..., list[str]]
) -> None:
    assert not validator.is_valid(instance)
    assert errors_of(instance)


def _keywords(schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        yield key
        if key in ("properties", "$defs"):
            for inner in value.values():
                yield from _keywords(inner)
        elif key == "anyOf":
            for inner in value:
                yield from _keywords(inner)
        elif key in ("items", "additionalProperties", "if", "then", "not"):
            yield from _keywords(value)


def _check_jsonschema(file: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(COMMITTED), file]
    return subprocess.run(command, capture_output=True, text=True, check=False)
