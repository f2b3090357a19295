from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from linreg_dist.jobspec import load_spec
from linreg_dist.jobspec.fields import parse_byte_size

Errors = Callable[..., list[str]]
Write = Callable[[str, str], str]


def spec(**sections: Any) -> dict[str, Any]:
    data = {"path": "flights", "target": "delay", **sections.pop("data", {})}
    return {"data": data, **sections}


def test_all_errors_come_at_once_in_the_order_of_the_file(write: Write, errors_of: Errors) -> None:
    name = write(
        "job.yaml",
        """\
        version: 2
        name: ../x
        data:
          path: [1, b]
          target: [y, y]
          features: [a, 3, b]
          filter: [[a, <, 3], [b, <>, 2]]
          missng: drop
          categorical: {b: [a, 1.5]}
        solver:
          epochs: "5"
          learning_rate: -1
          shedule: cosine
          early_stop: 5
          momentum: 0.5
        model: {l2: true, fit_intercept: no, loss: Hubber, epochs: 3}
        """,
    )
    assert errors_of(name) == [
        "job.yaml:1:10: found the number 2, expected 1 @ version",
        'job.yaml:2:7: found "../x", expected a run name (it becomes a folder): 1 to 128 letters, '
        'digits, ".", "_" '
        'or "-", beginning with a letter or digit, without ".." @ name',
        'job.yaml:4:10: found the number 1, expected text; put it in quotes: "1" @ data.path[0]',
        "job.yaml:5:11: elements 1 and 2 of this list are the same; remove one @ data.target",
        'job.yaml:6:17: found the number 3, expected text; put it in quotes: "3" @ data.features[1]',
        "job.yaml:7:23: found a list, expected one of = == != < > <= >= in, not in, is, is_not as the second "
        "element @ data.filter[1]",
        'job.yaml:8:3: unknown key "missng"; did you mean "missing"? @ data.missng',
        "job.yaml:9:24: found the number 1.5, expected text, a whole number, true or false "
        "@ data.categorical.b[1]",
        'job.yaml:11:11: found "5", expected a whole number; remove the quotes @ solver.epochs',
        "job.yaml:12:18: found the number -1, expected auto or a number above 0 @ solver.learning_rate",
        'job.yaml:13:3: unknown key "shedule"; did you mean "schedule"? @ solver.shedule',
        "job.yaml:14:15: found the number 5, expected a map of fields to values @ solver.early_stop",
        "job.yaml:15:13: momentum has no meaning for solver auto; set solver.name to sgd or rmsprop, or "
        "remove it "
        "@ solver.momentum",
        "job.yaml:16:13: found true, expected a number @ model.l2",
        'job.yaml:16:34: found "no", expected true or false; write false @ model.fit_intercept',
        'job.yaml:16:44: found "Hubber", expected one of squared, huber; did you mean "huber"? @ model.loss',
        'job.yaml:16:52: unknown key "epochs"; did you mean solver.epochs? @ model.epochs',
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solver": {"epochs": 0}}, "found the number 0, expected a number of at least 1 @ solver.epochs"),
        ({"solver": {"epochs": True}}, "found true, expected a whole number @ solver.epochs"),
        ({"solver": {"epochs": 1.5}}, "found the number 1.5, expected a whole number @ solver.epochs"),
        ({"solver": {"seed": -1}}, "found the number -1, expected a number of at least 0 @ solver.seed"),
        (
            {"solver": {"name": "sgd", "momentum": 1}},
            "found the number 1, expected a number below 1 @ solver.momentum",
        ),
        ({"model": {"l1": float("inf")}}, "found the number inf, expected a finite number @ model.l1"),
        (
            {"model": {"standardize": "maybe"}},
            'found "maybe", expected auto, true or false @ model.standardize',
        ),
        (
            {"model": None},
            "found null, expected a map of fields to values; remove the key to use the defaults @ model",
        ),
        (
            {"data": {"features": "a"}},
            'found "a", expected a list; write [a] @ data.features',
        ),
        (
            {"data": {"features": []}},
            "found an empty list, expected a list with at least 1 element @ data.features",
        ),
        (
            {"data": {"features": ["a", "b", "a"]}},
            "elements 1 and 3 of this list are the same; remove one @ data.features",
        ),
        (
            {"data": {"target": 3}},
            "found the number 3, expected a column name or a list of different column names @ data.target",
        ),
        (
            {"data": {"validation": {"fraction": 1}}},
            "found the number 1, expected a number below 1 @ data.validation.fraction",
        ),
        (
            {"data": {"categorical": {"c": "none"}}},
            'found "none", expected auto or a list of different levels (text, whole numbers or '
            "booleans), the base "
            "level first @ data.categorical.c",
        ),
        ({"data": {"weight": ""}}, 'found "", expected a text that is not empty @ data.weight'),
        (
            {"data": {"filter": [["a", "<", None]]}},
            'found a list, expected one text, number or boolean after "<" @ data.filter[0]',
        ),
        (
            {"data": {"filter": [["a", "in", 3]]}},
            'found a list, expected a list of values after "in", for example [carrier, in, [AA, UA]] @ '
            "data.filter[0]",
        ),
        (
            {"data": {"filter": [[["a", "<", 3]], [["b", 2]]]}},
            'found a list, expected [column, op, value], for example [distance, ">=", 100] @ '
            "data.filter[1][0]",
        ),
        (
            {"data": {"filter": [[3, "<", 3]]}},
            "found a list, expected a column name as the first element of [column, op, value] @ "
            "data.filter[0]",
        ),
        (
            {"scaling": {"num_workers": [1, 2, 3]}},
            "found a list, expected a whole number from 0 to 10,000, or [min, max] with 1 <= min <= max "
            "@ scaling.num_workers",
        ),
        (
            {"scaling": {"num_workers": [0, 2]}},
            "found the number 0, expected a number of at least 1 @ scaling.num_workers[0]",
        ),
        (
            {"scaling": {"memory_budget": "4 gigs"}},
            'found "4 gigs", expected auto, a whole number of bytes, or a size such as 4GiB or 500MB '
            "@ scaling.memory_budget",
        ),
        (
            {"scaling": {"resources_per_worker": {"CPU": 0}}},
            "found the number 0, expected a number above 0 @ scaling.resources_per_worker.CPU",
        ),
        (
            {"run": {"max_failures": -2}},
            "found the number -2, expected a number of at least -1 @ run.max_failures",
        ),
        (
            {"cluster": {"env": {"N": 4}}},
            'found the number 4, expected text; put it in quotes: "4" @ cluster.env.N',
        ),
        (
            {"outputs": {"export": ["onxx"]}},
            'found "onxx", expected one of mlflow, onnx, sklearn, sql; did you mean "onnx"? '
            "@ outputs.export[0]",
        ),
        (
            {"tracking": {"mlfow": {}}},
            'unknown key "mlfow"; did you mean "mlflow"? @ tracking.mlfow',
        ),
        (
            {"tune": {"folds": 5}},
            'the required field "l2" is missing: Penalty strengths to try, each at least 0; a strength '
            "s means "
            "model.l1 = s·l1_ratio and model.l2 = s·(1 − l1_ratio). @ tune.l2",
        ),
        (
            {"tune": {"l2": [0.1], "folds": 1}},
            "found the number 1, expected a number of at least 2 @ tune.folds",
        ),
        (
            {"colour": "red"},
            'unknown key "colour"; a job spec has version, name, data, model, solver, tune, scaling, '
            "run, cluster, "
            "outputs, tracking, matrix @ colour",
        ),
        ({"num_workers": 2}, 'unknown key "num_workers"; did you mean scaling.num_workers? @ num_workers'),
        ({"extends": "base.yaml"}, "extends works in files only; merge the maps before the call @ extends"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    changes: dict[str, Any], message: str, errors_of: Errors
) -> None:
    assert errors_of(spec(**changes)) == [f"<dict>: {message}"]


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        (
            {"data": {"features": ["a", "delay"]}},
            ['"delay" is both a feature and data.target; remove it from one @ data.features[1]'],
        ),
        (
            {"data": {"features": ["a", "w"], "weight": "w"}},
            ['"w" is both a feature and data.weight; remove it from one @ data.features[1]'],
        ),
        (
            {"data": {"features": ["a"], "exclude": ["a"]}},
            ['"a" is both in features and in exclude; remove it from one @ data.features[0]'],
        ),
        (
            {"data": {"exclude": ["delay"]}},
            ['"delay" is the target, which is never a feature; remove it here @ data.exclude[0]'],
        ),
        (
            {"data": {"weight": "delay"}},
            ['"delay" is also the target; weigh by another column @ data.weight'],
        ),
        (
            {"data": {"weight": "s", "validation": {"method": "column", "column": "s"}}},
            ['"s" is also data.validation.column; use another column @ data.weight'],
        ),
        (
            {"data": {"weight_type": "frequency"}},
            ["frequency weights need data.weight, the column that holds them @ data.weight_type"],
        ),
        (
            {"data": {"features": ["carrier"], "categorical": {"carier": "auto"}}},
            ['"carier" is not among data.features; did you mean "carrier"? @ data.categorical.carier'],
        ),
        (
            {"data": {"features": ["a"], "categorical": {"origin": "auto"}}},
            ['"origin" is not among data.features; add it there or remove it here @ data.categorical.origin'],
        ),
        (
            {"data": {"categorical": {"delay": "auto"}}},
            ['"delay" is the target, which must be numeric; remove it here @ data.categorical.delay'],
        ),
        (
            {"data": {"validation": {"method": "column"}}},
            [
                "method column needs data.validation.column; add it, or use method hash "
                "@ data.validation.method"
            ],
        ),
        (
            {"data": {"validation": {"path": "held_out"}}},
            ["path has no effect with method hash; set method: path or remove it @ data.validation.path"],
        ),
        (
            {"data": {"validation": {"method": "column", "column": "delay"}}},
            ['"delay" is the target; mark held-out rows by another column @ data.validation.column'],
        ),
        (
            {"solver": {"name": "adam", "momentum": 0.9}},
            [
                "momentum has no meaning for solver adam; set solver.name to sgd or rmsprop, or remove it "
                "@ solver.momentum"
            ],
        ),
        (
            {"solver": {"name": "exact"}, "model": {"loss": "huber"}},
            [
                "huber loss has no closed form; use solver.name: auto or lbfgs, or model.loss: squared "
                "@ solver.name"
            ],
        ),
        (
            {"model": {"covariance": "cluster"}},
            [
                "covariance cluster needs data.cluster, the column that names each row's cluster "
                "@ model.covariance"
            ],
        ),
        (
            {"data": {"cluster": "firm"}},
            [
                "cluster has no effect with model.covariance nonrobust; set covariance: cluster or remove it "
                "@ data.cluster"
            ],
        ),
        (
            {"model": {"covariance": "HC1"}, "solver": {"name": "sgd"}},
            [
                "standard errors exist for the exact solver only, and solver.name is sgd; use "
                "solver.name: exact, "
                "or remove it @ model.covariance"
            ],
        ),
        (
            {"model": {"covariance": "HC1", "loss": "huber"}},
            [
                "standard errors exist for squared loss only, and model.loss is huber; remove one @ "
                "model.covariance"
            ],
        ),
        (
            {"tune": {"l2": [0.1]}, "solver": {"name": "adam"}, "model": {"loss": "huber", "l2": 1}},
            [
                "tune chooses the penalty, so model.l2 has no effect; remove one of them @ model.l2",
                "tune works for squared loss only, and model.loss is huber; remove one @ tune",
                "tune works from the exact solver's statistics, and solver.name is adam; use auto or "
                "exact @ tune",
            ],
        ),
        (
            {"scaling": {"num_workers": [3, 2]}},
            ["[min, max] must not have min above max; write [2, 3] @ scaling.num_workers"],
        ),
        (
            {"scaling": {"num_workers": 8, "virtual_shards": 4}},
            [
                "8 workers need at least as many virtual shards, found 4; raise it or use auto @ "
                "scaling.virtual_shards"
            ],
        ),
    ],
)
def test_fields_that_disagree_are_refused(
    changes: dict[str, Any], messages: list[str], errors_of: Errors
) -> None:
    assert errors_of(spec(**changes)) == [f"<dict>: {message}" for message in messages]


def test_a_conflict_is_not_reported_about_a_value_that_is_itself_wrong(errors_of: Errors) -> None:
    lines = errors_of(spec(solver={"name": "sdg", "momentum": 0.9}))
    assert lines == [
        '<dict>: found "sdg", expected one of auto, exact, sgd, adam, adamw, rmsprop, lbfgs; did you mean '
        '"sgd"? @ solver.name'
    ]


def test_missing_sections_do_not_hide_other_errors(errors_of: Errors) -> None:
    assert errors_of({"solver": {"momentum": 0.5, "epochs": 0}}) == [
        '<dict>: the required field "data" is missing: Which Parquet to read, and how its columns '
        "become numbers. "
        "@ data",
        "<dict>: found the number 0, expected a number of at least 1 @ solver.epochs",
        "<dict>: momentum has no meaning for solver auto; set solver.name to sgd or rmsprop, or remove it "
        "@ solver.momentum",
    ]


def test_a_section_of_the_wrong_type_does_not_hide_other_errors(errors_of: Errors) -> None:
    assert errors_of({"data": [1], "solver": {"momentum": 0.5}}) == [
        "<dict>: found a list, expected a map of fields to values @ data",
        "<dict>: momentum has no meaning for solver auto; set solver.name to sgd or rmsprop, or remove it "
        "@ solver.momentum",
    ]


@pytest.mark.parametrize("name", ["a", "flights-2013", "A_1.b", "9", "x" * 128])
def test_run_names_that_stay_in_their_folder_are_accepted(name: str) -> None:
    assert load_spec(spec(name=name)).name == name


@pytest.mark.parametrize("name", ["", ".", "..", "a..b", "a/b", "-x", "_x", "x" * 129, "a b", "é", "x\n"])
def test_run_names_that_could_leave_their_folder_are_refused(name: str, errors_of: Errors) -> None:
    (line,) = errors_of(spec(name=name))
    assert "expected a run name" in line


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [("4GiB", 4 * 2**30), ("500 MB", 500 * 10**6), ("1.5kB", 1500), ("17", 17), ("1tib", 2**40)],
)
def test_byte_sizes_are_powers_of_1024_or_1000(text: str, nbytes: int) -> None:
    assert parse_byte_size(text) == nbytes
    assert load_spec(spec(scaling={"memory_budget": text})).scaling.memory_budget_bytes == nbytes


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "1 GiBB", "1e3", "4G"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 4GiB"):
        parse_byte_size(text)
