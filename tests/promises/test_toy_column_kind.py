"""A kind of column that is one class in this file, registered in one list, does all that the others do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import linreg_dist as lr
from linreg_dist.cli.main import cli
from linreg_dist.data.block import BlockBuilder
from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.design.kinds import KINDS
from linreg_dist.data.gather import gather
from linreg_dist.verbs.score import evaluate, predict
from tests.parquet import write_parquet

ROWS, GROUP = 600, 60
START = date(2024, 1, 1)


@dataclass
class Earliest:
    day: int

    def merge(self, other: Earliest) -> None:
        self.day = min(self.day, other.day)


@dataclass(frozen=True)
class DayColumn(ColumnKind):
    """Dates, as days since the earliest one and as a mark of weekends."""

    kind: ClassVar[str] = "day"
    expects: ClassVar[str] = "dates"

    name: str
    origin: int | None = None

    @classmethod
    def claims(cls, name: str, type_: pa.DataType, data: Any) -> bool:
        return bool(pa.types.is_date32(type_))

    @classmethod
    def draft(cls, name: str, type_: pa.DataType, data: Any) -> DayColumn:
        return cls(name)

    def takes(self, type_: pa.DataType) -> bool:
        return bool(pa.types.is_date32(type_))

    def decode(self, column: pa.ChunkedArray) -> Any:
        return column.cast(pa.int32()).to_numpy().astype(np.float64)

    def missing(self, values: Any) -> Any:
        return np.isnan(values) if np.isnan(values).any() else None

    def needs(self, data: Any) -> bool:
        return self.origin is None

    def find(self, values: Any, train: Any, validation: Any, where: str) -> Earliest:
        return Earliest(int(values[train].min()) if len(train) else 1 << 30)

    def settle(self, found: Earliest | None, data: Any) -> DayColumn:
        return replace(self, origin=found.day if found else 0)

    @property
    def encoded_names(self) -> tuple[str, ...]:
        return (f"{self.name}:days", f"{self.name}:weekend")

    def write(self, values: Any, rows: Any, out_LN: Any, shift_L: Any, where: str) -> None:
        taken = gather(values, rows)
        out_LN[0] = taken - self.origin
        out_LN[1] = (taken + 3) % 7 >= 5  # 1 January 1970 was a Thursday
        if shift_L is not None:
            out_LN -= shift_L[:, None]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "origin": self.origin}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DayColumn:
        return cls(document["name"], document["origin"])


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    KINDS.insert(0, DayColumn)
    yield
    KINDS.remove(DayColumn)


@pytest.fixture
def columns() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    days = rng.integers(0, 100, ROWS)
    weekend = np.array([(START + timedelta(int(day))).weekday() >= 5 for day in days])
    x = rng.normal(size=ROWS)
    return {
        "day": [START + timedelta(int(day)) for day in days],
        "x": x,
        "y": 1.0 + 0.5 * days + 3.0 * weekend + 2.0 * x,
    }


@pytest.fixture
def path(tmp_path: Path, columns: dict[str, Any]) -> Path:
    return write_parquet(tmp_path / "d" / "a.parquet", columns, row_group_size=GROUP)


def settings(solver: str) -> dict[str, Any]:
    return {
        "solver": {"name": solver, "epochs": 60, "global_batch_size": 100, "early_stop": None},
        "scaling": {"memory_budget": 0, "disk_budget": 0},
        "run": {"checkpoint_every_s": 1e-9},
    }


@pytest.mark.parametrize(("solver", "digits"), [("exact", 1e-9), ("sgd", 0.05)])
def test_it_trains_is_saved_shown_measured_and_predicts(
    solver: str, digits: float, path: Path, columns: dict[str, Any], train_here: Callable[..., lr.Run]
) -> None:
    run = train_here(path, **settings(solver))
    model = lr.LinearModel.load(run.path)
    assert list(model.feature_names_in_) == ["day:days", "day:weekend", "x"]
    np.testing.assert_allclose(model.coef_, [0.5, 3.0, 2.0], atol=digits)
    np.testing.assert_allclose(model.predict(pa.table(columns)), columns["y"], atol=100 * digits)
    assert json.loads((run.path / "model" / "config.json").read_text())["columns"][0] == {
        "name": "day",
        "kind": "day",
        "origin": (START - date(1970, 1, 1)).days,
    }
    shown = CliRunner().invoke(cli, ["show", str(run.path), "--json"])
    assert [one["feature"] for one in json.loads(shown.stdout)["coefficients"]] == list(model.encoding.names)
    assert "day:weekend" in (run.path / "report.html").read_text()
    assert evaluate(run.path, str(path)).metrics.r2 > 0.99
    output = path.parent.parent / "scored"
    predict(run.path, str(path), output)
    scored = pq.read_table(output).column("prediction").to_numpy()
    np.testing.assert_allclose(scored, model.predict(pa.table(columns)), rtol=1e-12)


class PowerCutError(Exception):
    """What the test throws into the middle of a job."""


@pytest.mark.parametrize("solver", ["exact", "sgd"])
def test_a_job_that_was_interrupted_ends_as_the_undisturbed_one(
    solver: str, path: Path, train_here: Callable[..., lr.Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_here(path, name="whole", **settings(solver))
    numbers, real = count(), BlockBuilder.build

    def build(builder: Any, group: Any) -> Any:
        if next(numbers) == 8 + 20 * (solver == "sgd"):
            raise PowerCutError
        return real(builder, group)

    with monkeypatch.context() as patch:
        patch.setattr(BlockBuilder, "build", build)
        with pytest.raises(PowerCutError):
            train_here(path, name="cut", **settings(solver))
    assert list((path.parent.parent / "runs" / "cut" / "checkpoints").rglob("*.*"))
    resumed = train_here(path, name="cut", **settings(solver))
    np.testing.assert_array_equal(resumed.model.coef_, whole.model.coef_)


def test_a_model_of_a_kind_that_is_not_registered_is_refused_by_name(
    path: Path, train_here: Callable[..., lr.Run]
) -> None:
    run = train_here(path, **settings("exact"))
    KINDS.remove(DayColumn)
    try:
        with pytest.raises(lr.errors.LinregDistError, match=r"'day' is of the kind 'day'; .*numeric"):
            lr.LinearModel.load(run.path)
    finally:
        KINDS.insert(0, DayColumn)
