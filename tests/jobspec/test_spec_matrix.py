from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from linreg_dist.errors import SpecError
from linreg_dist.jobspec import expand_matrix, load_spec, resolved_yaml

Write = Callable[[str, str], str]
Errors = Callable[..., list[str]]

MINIMAL = {"name": "f", "data": {"path": "flights", "target": "y"}}


def test_without_a_matrix_there_is_the_one_job() -> None:
    spec = load_spec(MINIMAL)
    assert expand_matrix(spec) == [spec]


def test_every_combination_is_a_job_named_after_its_values() -> None:
    spec = load_spec({**MINIMAL, "matrix": {"model.l2": [0, 0.1], "data.target": ["a", ["b", "c"]]}})
    jobs = expand_matrix(spec)
    assert [(job.name, job.model.l2, job.data.targets) for job in jobs] == [
        ("f-l2_0-target_a", 0.0, ("a",)),
        ("f-l2_0-target_b_c", 0.0, ("b", "c")),
        ("f-l2_0.1-target_a", 0.1, ("a",)),
        ("f-l2_0.1-target_b_c", 0.1, ("b", "c")),
    ]
    assert all(job.matrix is None for job in jobs)


def test_names_stay_valid_and_different(in_tmp: Path) -> None:
    paths = ["/a/x", "/b/x", "é", "..", "x" * 200, "x" * 200 + "y"]
    names = [job.name for job in expand_matrix(load_spec({**MINIMAL, "matrix": {"data.path": paths}}))]
    assert len(set(names)) == len(paths)
    assert names[:2] == ["f-path_x", "f-path_x-2"]
    assert all(load_spec({**MINIMAL, "name": name}).name == name for name in names)


def test_paths_in_a_matrix_are_relative_to_the_file(write: Write, in_tmp: Path) -> None:
    file = write("jobs/job.yaml", "data: {path: a, target: y}\nmatrix: {data.path: [b, [c, s3://d/e]]}")
    assert [job.data.paths for job in expand_matrix(load_spec(file))] == [
        (f"{in_tmp}/jobs/b",),
        (f"{in_tmp}/jobs/c", "s3://d/e"),
    ]


def test_a_job_keeps_secrets_out_of_its_name_and_its_yaml(write: Write) -> None:
    file = write(
        "job.yaml",
        'data: {path: /a, target: y}\nmatrix: {cluster.env: [{K: "${K}"}], data.path: ["/x/${K}"]}',
    )
    (job,) = expand_matrix(load_spec(file, environ={"K": "hunter2"}))
    assert job.cluster.env == {"K": "hunter2"}
    assert job.data.path == "/x/hunter2"
    assert "hunter2" not in job.name + resolved_yaml(job)


def test_a_wrong_value_from_the_environment_is_not_shown(write: Write, errors_of: Errors) -> None:
    file = write("job.yaml", 'data: {path: /a, target: y}\nmatrix: {model.l2: ["${K}"]}')
    assert errors_of(file, environ={"K": "hunter2"}) == [
        'job.yaml:2:21: found "${K}" from the environment, expected a number @ matrix.model.l2[0]'
    ]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ({"solver.nam": ["sgd"]}, 'unknown key "nam"; did you mean "name"? @ matrix.solver.nam'),
        ({"name": ["a"]}, "name cannot vary within a matrix; each job gets its name from what varies @ "
        "matrix.name"),
        ({"model.l2": []}, "found an empty list, expected a list with at least 1 element @ matrix.model.l2"),
        ({"model.l2": 3}, "found the number 3, expected a list @ matrix.model.l2"),
        ({"model.l2": [0, -1]}, "found the number -1, expected a number of at least 0 @ matrix.model.l2[1]"),
        ({"cluster.env.A.b": [1]}, "cluster.env.A is one value, which cannot be set in part; set "
        "cluster.env.A as "
         "a whole @ matrix.cluster.env.A.b"),
        ({"solver.name.x": [1]}, "solver.name is one value, which has no fields @ matrix.solver.name.x"),
    ],
)  # fmt: skip
def test_a_wrong_path_or_value_is_found_when_the_spec_is_read(
    matrix: object, message: str, errors_of: Errors
) -> None:
    assert errors_of({**MINIMAL, "cluster": {"env": {"A": "1"}}, "matrix": matrix}) == [f"<dict>: {message}"]


def test_any_path_within_an_open_map_may_vary() -> None:
    spec = load_spec({**MINIMAL, "matrix": {"cluster.runtime_env.env_vars.A": ["1", "2"]}})
    assert [job.cluster.runtime_env for job in expand_matrix(spec)] == [
        {"env_vars": {"A": "1"}},
        {"env_vars": {"A": "2"}},
    ]


def test_combinations_that_do_not_fit_together_are_all_named() -> None:
    matrix = {"solver.name": ["sgd", "exact"], "model.loss": ["squared", "huber"]}
    with pytest.raises(SpecError) as caught:
        expand_matrix(load_spec({**MINIMAL, "matrix": matrix}))
    assert str(caught.value).splitlines() == [
        "combination solver.name=exact, model.loss=huber: matrix: huber loss has no closed form; use "
        "solver.name: "
        "auto or lbfgs, or model.loss: squared @ solver.name"
    ]
