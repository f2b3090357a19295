from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.jobspec import JobSpec, diff_specs, load_spec, resolved_yaml, spec_hash
from linreg_dist.jobspec.reading.yaml_reader import read_yaml
from linreg_dist.wording.text import safe_text

Write = Callable[[str, str], str]

MINIMAL = {"data": {"path": "/data", "target": "y"}}
AWKWARD = [
    "no",
    "012",
    "1e-3",
    "5",
    "=",
    "<<",
    "null",
    "~",
    "2013-01-01",
    "0o7",
    "x: y",
    "#a",
    "'",
    '"',
    "${A}",
]
NAMES = st.one_of(st.sampled_from(AWKWARD), st.text(min_size=1, max_size=8))


@settings(deadline=None)
@given(
    features=st.lists(NAMES.filter(lambda name: name != "y"), min_size=1, unique=True),
    levels=st.lists(
        st.integers() | NAMES | st.booleans(), min_size=1, unique_by=lambda value: (type(value), value)
    ),
    env=st.dictionaries(st.text().map(lambda text: f"{text}_FILE"), st.text()),  # no name of a secret
    rate=st.floats(min_value=1e-300, max_value=1e300),
)
def test_a_resolved_spec_reads_back_as_the_same_spec(
    features: list[str],
    levels: list[Any],
    env: dict[str, str],
    rate: float,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made = JobSpec.model_validate({
        "data": {"path": "/d", "target": "y", "features": features, "categorical": {features[0]: levels},
                 "filter": [[features[0], "in", levels]]},
        "solver": {"learning_rate": rate},
        "cluster": {"env": env},
    })  # fmt: skip
    spec = load_spec(made)
    file = tmp_path_factory.mktemp("resolved") / "job.yaml"
    file.write_text(resolved_yaml(spec), encoding="utf-8")
    again = load_spec(file, environ={})
    assert again == spec
    assert spec_hash(again) == spec_hash(spec)
    assert diff_specs(spec, again) == []


def test_a_resolved_spec_has_every_field_and_absolute_paths(write: Write, in_tmp: Path) -> None:
    text = resolved_yaml(load_spec(write("jobs/job.yaml", "data: {path: flights, target: y}")))
    data = read_yaml(text).data
    assert list(data) == [
        "version", "name", "data", "model", "solver", "tune", "scaling", "run", "cluster", "outputs",
        "tracking", "matrix",
    ]  # fmt: skip
    assert data["data"]["path"] == f"{in_tmp}/jobs/flights"
    assert data["run"]["storage_path"] == f"{in_tmp}/runs"
    assert data["solver"]["early_stop"] == {"patience": 3, "min_rel_progress": 1e-4}


class TestSecrets:
    TEXT = """\
    data:
      path: ${ROOT}/flights
      target: y
      features: ["${COLUMN}", b]
      validation: {method: path, path: "${HELD}"}
    model:
      l2: ${L2:-0.1}
    cluster:
      env: {TOKEN: "${TOKEN}", PART: "a-${TOKEN}-b"}
      runtime_env: {pip: ["https://${TOKEN}@host/x"], env_vars: {K: "${TOKEN}"}}
    """
    ENVIRON = {"ROOT": "relative", "HELD": "/held", "COLUMN": "c", "TOKEN": "hunter2"}  # noqa: RUF012

    def test_what_came_from_the_environment_is_written_as_it_was(self, write: Write, in_tmp: Path) -> None:
        spec = load_spec(write("jobs/job.yaml", self.TEXT), environ=self.ENVIRON)
        text = resolved_yaml(spec)
        assert "hunter2" not in text
        assert "hunter2" not in repr(spec)
        data = read_yaml(text).data
        assert data["data"]["path"] == f"{in_tmp}/jobs/${{ROOT}}/flights"
        assert data["data"]["validation"]["path"] == "${HELD}"
        assert data["data"]["features"] == ["${COLUMN}", "b"]
        assert data["model"]["l2"] == "${L2:-0.1}"
        assert data["cluster"]["env"] == {"TOKEN": "${TOKEN}", "PART": "a-${TOKEN}-b"}
        assert data["cluster"]["runtime_env"]["pip"] == ["https://${TOKEN}@host/x"]

    def test_it_reads_back_as_the_same_spec_in_the_same_environment(self, write: Write) -> None:
        spec = load_spec(write("jobs/job.yaml", self.TEXT), environ=self.ENVIRON)
        again = load_spec(write("runs/x/job.yaml", resolved_yaml(spec)), environ=self.ENVIRON)
        assert again == spec
        assert spec_hash(again) == spec_hash(spec)

    def test_a_value_that_replaces_it_is_written_itself(self, write: Write) -> None:
        file = write("job.yaml", self.TEXT)
        data = read_yaml(resolved_yaml(load_spec(file, ["model.l2=3"], environ=self.ENVIRON))).data
        assert data["model"]["l2"] == 3.0
        spec = load_spec(file, environ=self.ENVIRON)
        changed = spec.model_copy(update={"model": spec.model.model_copy(update={"l2": 4.0})})
        assert read_yaml(resolved_yaml(changed)).data["model"]["l2"] == 4.0
        assert "hunter2" not in resolved_yaml(changed)

    def test_a_setting_from_the_command_line_is_written_as_it_was(self) -> None:
        spec = load_spec(
            MINIMAL, ["cluster.env.TOKEN=${TOKEN}", "model.l2=${L2}"], environ={"TOKEN": "abc", "L2": "1"}
        )
        data = read_yaml(resolved_yaml(spec)).data
        assert data["cluster"]["env"] == {"TOKEN": "${TOKEN}"}
        assert data["model"]["l2"] == "${L2}"

    def test_a_difference_shows_the_variable_and_not_its_value(self, write: Write) -> None:
        file = write("job.yaml", self.TEXT)
        old = load_spec(file, environ=self.ENVIRON)
        new = load_spec(file, environ={**self.ENVIRON, "TOKEN": "hunter3", "COLUMN": "d"})
        lines = diff_specs(old, new)
        assert lines == [
            'data.features: ["${COLUMN}", "b"] -> ["${COLUMN}", "b"] (its value differs)',
            'cluster.runtime_env.pip: ["https://${TOKEN}@host/x"] -> ["https://${TOKEN}@host/x"] '
            "(its value differs)",
            "cluster.runtime_env.env_vars.K: ${TOKEN} -> ${TOKEN} (its value differs)",
            "cluster.env.TOKEN: ${TOKEN} -> ${TOKEN} (its value differs)",
            "cluster.env.PART: a-${TOKEN}-b -> a-${TOKEN}-b (its value differs)",
        ]


class TestHash:
    @pytest.mark.parametrize(
        "setting",
        ["data.path=/other", "data.features=[a]", "data.validation.seed=1", "model.l2=0.1", "solver.seed=1",
         "solver.epochs=3", "solver.early_stop=null", "tune={l2: [1]}", "scaling.virtual_shards=24"],
    )  # fmt: skip
    def test_what_changes_the_answer_changes_the_hash(self, setting: str) -> None:
        before, after = load_spec(MINIMAL), load_spec(MINIMAL, [setting])
        assert spec_hash(before) != spec_hash(after)
        assert diff_specs(before, after, result_only=True)

    @pytest.mark.parametrize(
        "setting",
        [
            "name=x", "run.storage_path=/x", "run.max_failures=0", "scaling.num_workers=3",
            "scaling.use_gpu=true", "scaling.memory_budget=0",
            "cluster.address=auto", "outputs.report=false", "tracking.tensorboard=true",
            "matrix={model.l2: [1]}",
        ],
    )  # fmt: skip
    def test_what_does_not_change_the_answer_does_not_change_the_hash(self, setting: str) -> None:
        before, after = load_spec(MINIMAL), load_spec(MINIMAL, [setting])
        assert spec_hash(before) == spec_hash(after)
        assert diff_specs(before, after)
        assert diff_specs(before, after, result_only=True) == []

    def test_the_hash_is_the_same_in_every_process_and_version(self) -> None:
        # A run is resumed by another process: a change here orphans unfinished runs, so it needs a reason.
        assert (
            spec_hash(load_spec(MINIMAL))
            == "ec0959c6de2bff4769bc3a11b3606241fe1bf369e4cee07242144773a1ee2a90"
        )


def test_a_spec_survives_the_way_to_another_process(write: Write) -> None:
    spec = load_spec(write("job.yaml", TestSecrets.TEXT), environ=TestSecrets.ENVIRON)
    again = pickle.loads(pickle.dumps(spec))  # noqa: S301
    assert again == spec
    assert resolved_yaml(again) == resolved_yaml(spec)


def test_differences_are_listed_in_the_order_of_the_spec() -> None:
    old = load_spec({**MINIMAL, "cluster": {"env": {"A": "1"}}})
    new = load_spec(
        MINIMAL, ["solver.early_stop=null", "data.features=[a, b]", "name=x", "cluster.env.B='2'"]
    )
    assert diff_specs(old, new) == [
        "name: job -> x",
        'data.features: null -> ["a", "b"]',
        "solver.early_stop.patience: 3 -> (absent)",
        "solver.early_stop.min_rel_progress: 0.0001 -> (absent)",
        "cluster.env.A: 1 -> (absent)",
        "solver.early_stop: (absent) -> null",
        "cluster.env.B: (absent) -> 2",
    ]


@settings(deadline=None)
@given(*[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="$"))] * 2)
def test_no_character_of_a_resolved_spec_is_unsafe_and_none_is_lost(column: str, level: str) -> None:
    categorical = {f"x{column}": ["b", f"l{level}"]}
    text = resolved_yaml(load_spec({"data": {**MINIMAL["data"], "categorical": categorical}}, environ={}))
    assert safe_text(text) == text
    assert read_yaml(text).data["data"]["categorical"] == categorical
