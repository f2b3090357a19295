"""Changes to a data set that change the answer in a known way, and how far the answer is from it.

The documentation prints them (``make correctness``), and a test holds them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import linreg_dist as lr
from linreg_dist.verbs.stats import merge_statistics, solve_statistics, subtract_statistics

ROWS = 3000
FEATURES = ("a", "b", "c", "d", "g")


@dataclass(frozen=True)
class Relation:
    """One change.

    Attributes:
        change: what is done to the data.
        then: what must follow.
        bound: the largest difference allowed, relative to the largest coefficient.
        difference: what is found, given an empty folder.

    """

    change: str
    then: str
    bound: float
    difference: Callable[[Path], float]


def rows() -> pa.Table:
    """Return the rows: four numbers, a category, and a target that is not quite linear in them."""
    rng = np.random.default_rng(7)
    numbers = rng.normal(size=(ROWS, 4)) * [1.0, 20.0, 0.1, 3.0] + [0.0, 100.0, -1.0, 0.5]
    level = rng.integers(0, 3, ROWS)
    y = numbers @ [1.0, -0.5, 30.0, 2.0] + np.array([0.0, 4.0, -4.0])[level] + rng.normal(size=ROWS) ** 3
    columns = {name: numbers[:, i] for i, name in enumerate("abcd")}
    return pa.table(columns | {"g": np.array(["p", "q", "r"])[level], "y": y})


def fit(folder: Path, name: str, parts: Sequence[pa.Table], **data: Any) -> lr.Run:
    """Train on parts, a file each."""
    path = folder / f"{name}-data"
    path.mkdir()
    for number, part in enumerate(parts):
        pq.write_table(part, path / f"{number:03}.parquet", row_group_size=97 + 40 * (number % 7))
    spec = {
        "name": name,
        "data": {
            "path": str(path),
            "target": "y",
            "features": list(FEATURES),
            "categorical": {"g": ["p", "q", "r"]},
            "validation": {"method": "none"},
            **data,
        },
        "run": {"storage_path": str(folder / "runs")},
        "outputs": {"report": False},
    }
    return lr.train(spec)


def answer(model: lr.LinearModel) -> dict[str, float]:
    """Return the coefficients by name, and the intercept."""
    named = dict(zip(model.feature_names_in_, np.ravel(model.coef_).tolist(), strict=True))
    return named | {"intercept": float(np.ravel(model.intercept_)[0])}


def apart(found: dict[str, float], expected: dict[str, float]) -> float:
    """Return the largest difference relative to the largest number expected."""
    largest = max(abs(value) for value in expected.values())
    return max(abs(found[name] - value) for name, value in expected.items()) / largest


def _same(change: Callable[[pa.Table], Sequence[pa.Table]], **data: Any) -> Callable[[Path], float]:
    """Return the difference of a data set and of what a change makes of it."""

    def difference(folder: Path) -> float:
        expected = answer(fit(folder, "before", [rows()]).model)
        return apart(answer(fit(folder, "after", change(rows()), **data).model), expected)

    return difference


def _cut(table: pa.Table) -> list[pa.Table]:
    ends = [0, 1, 2, 500, 501, 1234, 2999, ROWS]
    return [table.slice(start, stop - start) for start, stop in itertools.pairwise(ends)]


def _permuted(table: pa.Table) -> list[pa.Table]:
    return [table.take(np.random.default_rng(1).permutation(ROWS))]


def _other_units(folder: Path) -> float:
    table = rows()
    expected = answer(fit(folder, "before", [table]).model)
    expected |= {"a": expected["a"] / 1000.0, "b": expected["b"] * 2.0**40}
    scaled = table.set_column(0, "a", pa.array(table["a"].to_numpy() * 1000.0))
    scaled = scaled.set_column(1, "b", pa.array(scaled["b"].to_numpy() * 2.0**-40))
    found = answer(fit(folder, "after", [scaled]).model)
    units = dict.fromkeys(found, 1.0) | {"b": 2.0**-40}
    return apart(
        {name: value * units[name] for name, value in found.items()},
        {name: value * units[name] for name, value in expected.items()},
    )


def _moved(folder: Path) -> float:
    table = rows()
    expected = answer(fit(folder, "before", [table]).model)
    expected["intercept"] -= expected["d"] * 65536.0
    moved = table.set_column(3, "d", pa.array(table["d"].to_numpy() + 65536.0))
    return apart(answer(fit(folder, "after", [moved]).model), expected)


def _twice(folder: Path) -> float:
    table = rows()
    doubled = fit(folder, "twice", [table, table])
    weighed = table.append_column("times", pa.array(np.full(ROWS, 2.0)))
    weight_two = fit(folder, "weighed", [weighed], weight="times", weight_type="frequency")
    apart_in_errors = max(
        abs(a["std_err"] / b["std_err"] - 1.0)
        for a, b in zip(_coefficients(doubled), _coefficients(weight_two), strict=True)
    )
    return max(apart(answer(weight_two.model), answer(doubled.model)), apart_in_errors)


def _coefficients(run: lr.Run) -> list[dict[str, Any]]:
    from linreg_dist.model.describe import describe

    return list(describe(run.model).to_json()["coefficients"])


def _constant(folder: Path) -> float:
    table = rows()
    expected = answer(fit(folder, "before", [table]).model) | {"one": 0.0}
    with_constant = table.append_column("one", pa.array(np.full(ROWS, 3.25)))
    return apart(answer(fit(folder, "after", [with_constant], features=[*FEATURES, "one"]).model), expected)


def _residual(folder: Path) -> float:
    table = rows()
    before = fit(folder, "before", [table])
    rest = table["y"].to_numpy() - np.ravel(before.model.predict(table))
    left = answer(fit(folder, "after", [table.set_column(5, "y", pa.array(rest))]).model)
    return max(abs(value) for value in left.values()) / max(abs(v) for v in answer(before.model).values())


def _merged(folder: Path) -> float:
    table = rows()
    first, second = table.slice(0, 1111), table.slice(1111)
    expected = answer(fit(folder, "whole", [table]).model)
    one, two = fit(folder, "one", [first]), fit(folder, "two", [second])
    merge_statistics([one.path, two.path], folder / "both.safetensors")
    return apart(answer(solve_statistics(folder / "both.safetensors")), expected)


def _subtracted(folder: Path) -> float:
    table = rows()
    first, second = table.slice(0, 1111), table.slice(1111)
    one, two = fit(folder, "one", [first]), fit(folder, "two", [second])
    merge_statistics([one.path, two.path], folder / "both.safetensors")
    subtract_statistics(folder / "both.safetensors", one.path, folder / "rest.safetensors")
    return apart(answer(solve_statistics(folder / "rest.safetensors")), answer(two.model))


RELATIONS = (
    Relation("columns in another order", "the same coefficients", 1e-13,
             _same(lambda table: [table], features=list(reversed(FEATURES)))),
    Relation("rows in another order", "the same coefficients", 1e-13, _same(_permuted)),
    Relation("the files cut anywhere", "the same coefficients", 1e-13, _same(_cut)),
    Relation("a column times 1,000, another times 2⁻⁴⁰", "coefficients in those units", 1e-13, _other_units),
    Relation("65,536 added to a column", "another intercept, nothing else", 1e-11, _moved),
    Relation("each row twice", "as frequency weight 2, standard errors too", 1e-12, _twice),
    Relation("a constant column more", "coefficient 0, nothing else", 1e-13, _constant),
    Relation("the target replaced by its residuals", "no coefficient", 1e-13, _residual),
    Relation("statistics of two halves merged", "those of the whole", 1e-13, _merged),
    Relation("one half subtracted again", "those of the other half", 1e-12, _subtracted),
)  # fmt: skip


def slug(relation: Relation) -> str:
    """Return a name for a test."""
    return re.sub(r"\W+", "-", relation.change)
