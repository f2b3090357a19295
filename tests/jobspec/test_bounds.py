"""Specs of any size: an answer in seconds, and a message that can be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from linreg_dist.errors import SpecError
from linreg_dist.jobspec import expand_matrix, load_spec

Errors = Callable[..., list[str]]
Write = Callable[[str, str], str]

_HEAD = "data: {path: flights, target: delay}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a0: &a0 {k: 1}\n"
            + "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 10)),
            "the aliases in this file stand for over 100000 values; write less",
        ),
        ("- a\n" * 100_001, "this file holds over 100000 values; is this the spec?"),
        ("a: " + "[" * 100_000, "lists or maps are nested too deeply in this file"),
        ("\n".join(" " * i + "a:" for i in range(500)), "lists or maps are nested too deeply in this file"),
        (
            "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 200)),
            "lists or maps are nested too deeply in this file",
        ),
        ("#" * (4 << 20) + "\n", "the file cannot be read: it has more than 4 MiB; is this the spec?"),
    ],
    ids=["merge keys", "values", "depth", "depth of blocks", "depth of aliases", "bytes"],
)
def test_a_file_that_stands_for_too_much_is_refused_in_one_line(
    text: str, message: str, write: Write, errors_of: Errors
) -> None:
    (line,) = errors_of(write("job.yaml", text))
    assert line.startswith("job.yaml:")
    assert line.endswith(f" {message}")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("".join(f"key{i}: 1\n" for i in range(20_000)), 'unknown key "key0"'),
        ("cluster: {env: {" + ", ".join(f"A{i}: 1" for i in range(20_000)) + "}}\n", "expected text"),
        ("solver: {" + ", ".join(f"key{i}: 1" for i in range(20_000)) + "}\n", 'unknown key "key0"'),
    ],
)
def test_of_thousands_of_mistakes_the_first_fifty_are_listed_and_the_rest_is_counted(
    text: str, first: str, write: Write, errors_of: Errors
) -> None:
    lines = errors_of(write("job.yaml", _HEAD + text))
    assert len(lines) == 51
    assert first in lines[0]
    assert all(line.startswith("job.yaml:") and " @ " in line for line in lines[:50])
    assert lines[50] == "and 19,950 more problems"


def test_thousands_of_conflicts_are_found_at_once(write: Write, errors_of: Errors) -> None:
    names = ", ".join(f"c{i}" for i in range(20_000))
    text = f"data: {{path: d, target: y, features: [{names}], exclude: [{names}]}}\n"
    lines = errors_of(write("job.yaml", text))
    assert '"c0" is both in features and in exclude' in lines[0]
    assert lines[-1] == "and 19,950 more problems"


def test_a_list_of_wrong_elements_is_not_called_too_short(write: Write, errors_of: Errors) -> None:
    (line,) = errors_of(write("job.yaml", "data: {path: d, target: y, features: [1]}\n"))
    assert "expected text" in line


def test_a_file_merges_over_a_large_base(write: Write) -> None:
    write("base.yaml", _HEAD + "cluster: {env: {" + ", ".join(f"A{i}: b" for i in range(20_000)) + "}}\n")
    spec = load_spec(
        write(
            "job.yaml",
            "extends: base.yaml\ncluster: {env: {" + ", ".join(f"A{i}: c" for i in range(10_000)) + "}}\n",
        )
    )
    assert [spec.cluster.env[f"A{i}"] for i in (0, 9_999, 10_000, 19_999)] == ["c", "c", "b", "b"]


def test_an_origin_in_an_extended_file_is_that_of_the_value_that_counts(
    write: Write, errors_of: Errors
) -> None:
    write("base.yaml", _HEAD + "solver: {epochs: x,\n  seed: x}\nmodel:\n  l1: x\n")
    lines = errors_of(write("job.yaml", "extends: base.yaml\nsolver:\n  epochs: y\n"))
    assert [line.split(": ")[0] for line in lines] == ["job.yaml:3:11", "base.yaml:3:9", "base.yaml:5:7"]


def test_a_matrix_of_too_many_jobs_is_refused_before_any_is_made(errors_of: Errors) -> None:
    matrix = {f"solver.{name}": list(range(1, 101)) for name in ("epochs", "seed", "sync_every")}
    (line,) = errors_of({"data": {"path": "d", "target": "y"}, "matrix": matrix})
    assert line == (
        "<dict>: this matrix stands for 1,000,000 jobs, expected at most 10,000; give fewer values @ matrix"
    )


def test_thousands_of_jobs_get_names_of_their_own() -> None:
    name = "n" * 128  # nothing of what varies is left in the name
    matrix = {"solver.seed": list(range(2_000))}
    jobs = expand_matrix(load_spec({"name": name, "data": {"path": "d", "target": "y"}, "matrix": matrix}))
    assert len({job.name for job in jobs}) == 2_000
    assert [job.solver.seed for job in jobs] == list(range(2_000))
    assert [job.name for job in jobs[:3]] == [name, f"{name[:120]}-2", f"{name[:120]}-3"]


def test_of_thousands_of_wrong_combinations_the_first_fifty_are_listed() -> None:
    matrix = {"tune": [{"l2": [1.0]}] * 1_000, "model.l2": [1.0]}
    spec = load_spec({"data": {"path": "d", "target": "y"}, "matrix": matrix})
    with pytest.raises(SpecError) as caught:
        expand_matrix(spec)
    lines = str(caught.value).splitlines()
    assert len(lines) == 51
    assert lines[-1] == "and 950 more problems"


@pytest.mark.parametrize(
    "changes",
    [
        {"solver": {"seed": 2**63}},
        {"solver": {"epochs": 10**400}},
        {"solver": {"global_batch_size": 2**63}},
        {"data": {"max_levels": 2**63}},
        {"data": {"validation": {"seed": 2**63}}},
        {"scaling": {"num_workers": 10_001}},
        {"scaling": {"num_workers": [1, 10_001]}},
        {"scaling": {"memory_budget": "9" * 400 + "GB"}},
        {"run": {"timeout_s": 1e10}},
        {"run": {"stuck_after_s": 1e300}},
        {"run": {"checkpoint_every_s": 1e300}},
        {"run": {"max_failures": 2**63}},
        {"run": {"storage_path": "runs\0"}},
        {"tune": {"l2": [1.0], "folds": 1001}},
        {"tune": {"l2": [float(i) for i in range(101)], "l1_ratio": [i / 100 for i in range(100)]}},
    ],
    ids=str,
)
def test_a_number_that_no_machine_can_take_is_refused(changes: dict[str, Any], errors_of: Errors) -> None:
    document: dict[str, Any] = {"data": {"path": "d", "target": "y"}}
    for section, fields in changes.items():
        document[section] = {**document.get(section, {}), **fields}
    (line,) = errors_of(document)
    assert "expected" in line
    assert line.count(" @ ") == 1
