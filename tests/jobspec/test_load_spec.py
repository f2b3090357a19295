from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from linreg_dist.jobspec import JobSpec, load_spec

Errors = Callable[..., list[str]]
Write = Callable[[str, str], str]

MINIMAL = {"data": {"path": "flights", "target": "delay"}}


def test_a_minimal_spec_has_every_default(in_tmp: Path) -> None:
    spec = load_spec(MINIMAL)
    assert spec.name == "job"
    assert spec.data.features is None
    assert (spec.data.validation.method, spec.data.validation.fraction) == ("hash", 0.2)
    assert (spec.model.loss, spec.model.l1, spec.model.l2) == ("squared", 0.0, 0.0)
    assert (spec.solver.name, spec.solver.epochs, spec.solver.learning_rate) == ("auto", 10, "auto")
    assert spec.solver.early_stop is not None
    assert spec.scaling.num_workers == 0
    assert (spec.tune, spec.matrix, spec.run.timeout_s) == (None, None, None)


def test_one_or_many_paths_and_targets_are_always_there_as_tuples(in_tmp: Path) -> None:
    one = load_spec(MINIMAL).data
    many = load_spec({"data": {"path": ["a", "s3://b/*"], "target": ["x", "y"]}}).data
    assert (one.paths, one.targets) == ((f"{in_tmp}/flights",), ("delay",))
    assert (many.paths, many.targets) == ((f"{in_tmp}/a", "s3://b/*"), ("x", "y"))


def test_a_filter_is_a_list_of_ors_of_a_list_of_ands() -> None:
    flat = {"data": {**MINIMAL["data"], "filter": [["a", "<", 3], ["b", "in", ["x", "y"]]]}}
    nested = {"data": {**MINIMAL["data"], "filter": [[["a", "<", 3]], [["b", "==", "2013-01-01"]]]}}
    assert load_spec(MINIMAL).data.filter_dnf == []
    assert load_spec(flat).data.filter_dnf == [[("a", "<", 3), ("b", "in", ("x", "y"))]]
    assert load_spec(nested).data.filter_dnf == [[("a", "<", 3)], [("b", "==", "2013-01-01")]]


@pytest.mark.parametrize(("workers", "least", "most"), [(0, 0, 0), (3, 3, 3), ([2, 30], 2, 30)])
def test_the_number_of_workers_is_a_range(workers: object, least: int, most: int) -> None:
    scaling = load_spec({**MINIMAL, "scaling": {"num_workers": workers}}).scaling
    assert (scaling.min_workers, scaling.max_workers) == (least, most)


def test_a_number_written_without_a_dot_is_the_same_spec(in_tmp: Path) -> None:
    assert load_spec({**MINIMAL, "model": {"l2": 1}}) == load_spec({**MINIMAL, "model": {"l2": 1.0}})


def test_a_spec_cannot_be_changed() -> None:
    spec = load_spec(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]
    assert hash(spec.solver) == hash(load_spec(MINIMAL).solver)


def test_the_name_comes_from_the_file_where_none_is_given(write: Write) -> None:
    text = "data: {path: a, target: b}"
    assert load_spec(write("flights.yaml", text)).name == "flights"
    assert load_spec(write("_my job..v2.yaml", text)).name == "my-job-v2"
    assert load_spec(write("é.yaml", text)).name == "job"


def test_json_is_read_as_well(write: Write) -> None:
    file = write("job.json", '{\n\t"data": {"path": "a", "target": "b"},\n\t"model": {"l2": 1e-3}\n}')
    assert load_spec(file).model.l2 == 1e-3


class TestPaths:
    def test_data_is_relative_to_the_file_and_storage_to_the_current_directory(
        self, write: Write, in_tmp: Path
    ) -> None:
        file = write(
            "jobs/job.yaml",
            "data: {path: ../data, target: y, validation: {method: path, path: [held/*.parquet, gs://b/k]}}",
        )
        spec = load_spec(file)
        assert spec.data.path == f"{in_tmp}/data"
        assert spec.data.validation.paths == (f"{in_tmp}/jobs/held/*.parquet", "gs://b/k")
        assert spec.run.storage_path == f"{in_tmp}/runs"

    def test_overrides_and_maps_are_relative_to_the_current_directory(
        self, write: Write, in_tmp: Path
    ) -> None:
        file = write("jobs/job.yaml", "data: {path: data, target: y}")
        assert load_spec(file, ["data.path=other"]).data.path == f"{in_tmp}/other"
        assert load_spec(MINIMAL, {"run.storage_path": "out"}).run.storage_path == f"{in_tmp}/out"

    def test_a_base_file_s_data_is_relative_to_the_base_file(self, write: Write, in_tmp: Path) -> None:
        write("shared/base.yaml", "data: {path: data, target: y}")
        file = write("jobs/job.yaml", "extends: ../shared/base.yaml")
        assert load_spec(file).data.path == f"{in_tmp}/shared/data"

    def test_home_is_expanded_and_uris_are_left_alone(self) -> None:
        spec = load_spec({"data": {"path": ["~/d", "S3://b/../k"], "target": "y"}})
        assert spec.data.paths == (os.path.expanduser("~/d"), "S3://b/../k")


class TestExtends:
    def test_maps_are_merged_and_lists_replaced(self, write: Write) -> None:
        write("base.yaml", "data: {path: a, target: y, features: [p, q]}\nsolver: {name: sgd, epochs: 3}")
        file = write("job.yaml", "extends: base.yaml\ndata: {features: [r]}\nsolver: {epochs: 4}")
        spec = load_spec(file)
        assert spec.data.features == ("r",)
        assert (spec.solver.name, spec.solver.epochs) == ("sgd", 4)
        assert spec.name == "job"

    def test_null_switches_off_what_the_base_has(self, write: Write) -> None:
        write("base.yaml", "data: {path: a, target: y}\nsolver: {early_stop: {patience: 5}}")
        file = write("job.yaml", "extends: base.yaml\nsolver: {early_stop: null}")
        assert load_spec(file).solver.early_stop is None

    def test_errors_are_reported_in_the_file_they_are_in(self, write: Write, errors_of: Errors) -> None:
        write("shared/base.yaml", "data: {path: a, target: y}\nsolver: {epochs: 0, momentum: 2}")
        file = write("job.yaml", "extends: shared/base.yaml\nsolver: {momentum: 3}\nmodel: {l2: x}")
        assert errors_of(file) == [
            "job.yaml:2:20: found the number 3, expected a number below 1 @ solver.momentum",
            'job.yaml:3:13: found "x", expected a number @ model.l2',
            "shared/base.yaml:2:18: found the number 0, expected a number of at least 1 @ solver.epochs",
        ]

    def test_a_second_level_and_a_cycle_are_refused(self, write: Write, errors_of: Errors) -> None:
        write("a.yaml", "extends: b.yaml")
        write("b.yaml", "\nextends: a.yaml")
        assert errors_of("a.yaml") == [
            "b.yaml:2:1: a file that is extended cannot extend another; merge the two @ extends"
        ]
        write("self.yaml", "extends: self.yaml")
        assert errors_of("self.yaml") == [
            "self.yaml:1:1: a file that is extended cannot extend another; merge the two @ extends"
        ]

    def test_a_base_that_is_not_there_is_named(self, write: Write, errors_of: Errors) -> None:
        assert errors_of(write("job.yaml", "extends: nope.yaml")) == [
            'job.yaml:1:10: there is no file "nope.yaml" beside this one; the path is relative to this file '
            "@ extends"
        ]
        assert errors_of(write("job.yaml", "extends: [a, b]")) == [
            "job.yaml:1:10: expected the path of one other spec file @ extends"
        ]


class TestEnvironment:
    def test_variables_and_defaults_are_replaced(self, write: Write) -> None:
        file = write(
            "job.yaml",
            """\
            name: run-${ID}
            data: {path: "${ROOT:-/data}/flights", target: y, features: ["${EMPTY:-a}", "$${ID}", "$ID"]}
            cluster: {env: {TOKEN: "${TOKEN}", NONE: "${EMPTY}"}}
            """,
        )
        spec = load_spec(file, environ={"ID": "7", "TOKEN": "s3cret", "EMPTY": ""})
        assert spec.name == "run-7"
        assert spec.data.path == "/data/flights"
        assert spec.data.features == ("a", "${ID}", "$ID")
        assert spec.cluster.env == {"TOKEN": "s3cret", "NONE": ""}

    def test_without_quotes_the_result_is_typed_and_with_quotes_it_is_text(
        self, write: Write, errors_of: Errors
    ) -> None:
        environ = {"L2": "1e-3", "FLAG": "false", "N": "4"}
        typed = write(
            "job.yaml",
            """\
            data: {path: a, target: y}
            model:
              l2: ${L2}
              fit_intercept: ${FLAG}
            cluster:
              address: ${RAY_ADDRESS:-}
            """,
        )
        spec = load_spec(typed, environ=environ)
        assert (spec.model.l2, spec.model.fit_intercept, spec.cluster.address) == (1e-3, False, None)
        quoted = write(
            "q.yaml", 'data: {path: a, target: y}\nmodel: {l2: "${L2}"}\ncluster:\n  env:\n    N: ${N}'
        )
        assert errors_of(quoted, environ=environ) == [
            'q.yaml:2:13: found "${L2}" from the environment, expected a number; remove the quotes @ '
            "model.l2",
            'q.yaml:5:8: found "${N}" from the environment, expected text; put it in quotes: "${N}" '
            "@ cluster.env.N",
        ]

    def test_an_unset_variable_and_a_malformed_reference_are_errors(
        self, write: Write, errors_of: Errors
    ) -> None:
        file = write(
            "job.yaml", 'data: {path: "${NOPE}/x", target: "${a-b}"}\nsolver:\n  epochs: ${A}${B}\n  seed: -1'
        )
        assert errors_of(file, environ={}) == [
            "job.yaml:1:14: the environment variable NOPE is not set; set it, or write ${NOPE:-default} "
            "@ data.path",
            'job.yaml:1:35: found "${a-b}", expected ${VAR} or ${VAR:-default}; a literal "${" is '
            'written "$${" '
            "@ data.target",
            "job.yaml:3:11: the environment variable A is not set; set it, or write ${A:-default} @ "
            "solver.epochs",
            "job.yaml:3:11: the environment variable B is not set; set it, or write ${B:-default} @ "
            "solver.epochs",
            "job.yaml:4:9: found the number -1, expected a number of at least 0 @ solver.seed",
        ]

    def test_maps_and_overrides_are_interpolated_too(self) -> None:
        spec = load_spec(MINIMAL, ["model.l2=${L2}", "name=${NAME}"], environ={"L2": "0.5", "NAME": "x"})
        assert (spec.model.l2, spec.name) == (0.5, "x")
        assert load_spec({**MINIMAL, "name": "${NAME}"}, environ={"NAME": "x"}).name == "x"

    def test_the_process_s_environment_is_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LINREG_DIST_TEST_NAME", "from-env")
        assert load_spec({**MINIMAL, "name": "${LINREG_DIST_TEST_NAME}"}).name == "from-env"

    def test_a_message_never_shows_what_a_variable_held(self, write: Write, errors_of: Errors) -> None:
        file = write(
            "job.yaml",
            """\
            name: "${SECRET}"
            data: {path: a, target: y, features: "${SECRET}", missing: "${SECRET}", filter: ["${SECRET}"]}
            solver: {epochs: "${SECRET}", shuffle: "${SECRET}", global_batch_size: "${SECRET}"}
            scaling: "${SECRET}"
            """,
        )
        lines = errors_of(file, environ={"SECRET": "hun/ter2"})
        assert len(lines) == 8
        assert "hun" not in "\n".join(lines)
        conflict = {"data": {"path": "a", "target": "${S}", "features": ["${S}"]}}
        assert errors_of(conflict, environ={"S": "hunter2"}) == [
            '<dict>: "${S}" is both a feature and data.target; remove it from one @ data.features[0]'
        ]


class TestOverrides:
    def test_later_layers_win(self, write: Write) -> None:
        write("base.yaml", "data: {path: a, target: y}\nsolver: {epochs: 2, seed: 2, sync_every: 2}")
        file = write("job.yaml", "extends: base.yaml\nsolver: {epochs: 3, seed: 3}")
        solver = load_spec(file, ["solver.epochs=4"]).solver
        assert (solver.epochs, solver.seed, solver.sync_every, solver.momentum) == (4, 3, 2, 0.0)

    @pytest.mark.parametrize(
        ("setting", "path", "value"),
        [
            ("solver.learning_rate=1e-3", ("solver", "learning_rate"), 1e-3),
            ("data.features=[no, '012']", ("data", "features"), ("no", "012")),
            ("solver.early_stop=null", ("solver", "early_stop"), None),
            ("solver.early_stop.patience=9", ("solver", "early_stop", "patience"), 9),
            ("data.categorical={a.b: auto}", ("data", "categorical"), {"a.b": "auto"}),
            ("cluster.env.URL=http://a?b=c", ("cluster", "env", "URL"), "http://a?b=c"),
            ("data.weight=", ("data", "weight"), None),
        ],
    )
    def test_values_are_yaml(self, setting: str, path: tuple[str, ...], value: object) -> None:
        assert load_spec(MINIMAL, [setting]).at(path) == value

    def test_a_map_is_replaced_as_a_whole(self) -> None:
        spec = load_spec({**MINIMAL, "cluster": {"env": {"A": "1"}}}, {"cluster.env": {"B": "2"}})
        assert spec.cluster.env == {"B": "2"}

    def test_a_section_that_is_null_can_be_set_in_part(self) -> None:
        off = {**MINIMAL, "solver": {"early_stop": None}}
        stop = load_spec(off, ["solver.early_stop.patience=2"]).solver.early_stop
        assert stop is not None
        assert stop.patience == 2

    def test_what_is_wrong_with_a_setting_is_reported_with_everything_else(self, errors_of: Errors) -> None:
        settings = [
            "foo", "a=1", "solver.epohs=3", "data.target.x=1", "data.path[0]=1", "model..l2=1", "model.l2={",
            "extends=b.yaml", "model.l1=x", "data.exclude=[a]", "data.exclude.0=b",
        ]  # fmt: skip
        lines = errors_of({**MINIMAL, "solver": {"seed": -1}}, settings)
        assert lines[0] == "<dict>: found the number -1, expected a number of at least 0 @ solver.seed"
        known = "version, name, data, model, solver, tune, scaling, run, cluster, outputs, tracking, matrix"
        assert sorted(lines[1:]) == sorted([
            '--set: found "foo", expected path=value, such as model.l2=0.1',
            f'--set: unknown key "a"; a job spec has {known} @ a',
            '--set: unknown key "epohs"; did you mean "epochs"? @ solver.epohs',
            "--set: data.target is one value, which cannot be set in part; set data.target as a whole "
            "@ data.target.x",
            '--set: unknown key "path[0]"; did you mean "path"? @ data.path[0]',
            '--set: found the path "model..l2", expected names joined by single dots',
            "--set: \"model.l2={\": not YAML: expected the node content, but found '<stream end>' while "
            "parsing a "
            "flow node; a quote or a bracket is not closed",
            "--set: extends cannot be set from outside; write it into the file @ extends",
            '--set: found "x", expected a number @ model.l1',
            "--set: data.exclude is a list, which cannot be set in part; set data.exclude as a whole "
            "@ data.exclude.0",
        ])  # fmt: skip

    def test_a_spec_can_be_changed_without_reading_the_environment_again(self, in_tmp: Path) -> None:
        first = load_spec({**MINIMAL, "cluster": {"env": {"A": "${X}", "B": "$${X}"}}}, environ={"X": "1"})
        second = load_spec(first, {"solver.epochs": 3}, environ={})
        assert second.cluster.env == {"A": "1", "B": "${X}"}
        assert second.solver.epochs == 3
        assert load_spec(first, environ={}) == first

    def test_a_spec_made_in_python_gets_absolute_paths(self, in_tmp: Path) -> None:
        made = JobSpec.model_validate(MINIMAL)
        assert made.data.path == "flights"
        assert load_spec(made).data.path == f"{in_tmp}/flights"


class TestFiles:
    def test_a_file_that_is_not_there_is_named_with_the_nearest_one(
        self, write: Write, errors_of: Errors
    ) -> None:
        write("jobs/flights.yaml", "")
        assert errors_of("jobs/flight.yaml") == [
            'jobs/flight.yaml: there is no such file; did you mean "jobs/flights.yaml"?'
        ]
        assert errors_of("nope/job.yaml") == [
            'nope/job.yaml: there is no such file; there is no folder "nope" either'
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "found nothing in this file, expected a job spec: a map with data.path and data.target"),
            ("- a", "found no map in this file, expected a job spec: a map with data.path and data.target"),
            ("a: 1\na: 2", 'the key "a" stands here twice, first at 1:1; remove one'),
        ],
    )
    def test_a_file_that_is_no_spec_is_refused(
        self, text: str, message: str, write: Write, errors_of: Errors
    ) -> None:
        (line,) = errors_of(write("job.yaml", text))
        assert line.startswith("job.yaml:")
        assert message in line

    def test_a_binary_file_and_a_folder_are_refused(self, in_tmp: Path, errors_of: Errors) -> None:
        (in_tmp / "x.bin").write_bytes(b"text\xff\xfe")
        assert errors_of("x.bin") == ["x.bin: the file is not UTF-8 text (byte 4); is this the spec?"]
        (line,) = errors_of(str(in_tmp))
        assert line.startswith(f"{in_tmp}: this is a folder, expected the file of a job spec; train on it by")

    def test_a_byte_order_mark_is_no_part_of_the_first_key(self, in_tmp: Path) -> None:
        (in_tmp / "job.yaml").write_text("\ufeffdata: {path: a, target: y}", encoding="utf-8")
        assert load_spec("job.yaml").name == "job"
