"""A pass over kept blocks in one native call, against one that hands over each row group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linreg_dist.kernels.choice import VARIABLE
from linreg_dist.run.finished_run import Run
from linreg_dist.solvers.lbfgs import objective
from linreg_dist.training.rows import resident
from linreg_dist.verbs.train import train
from tests.parquet import write_parquet


@pytest.fixture
def files(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, rows in enumerate((1500, 20, 4100)):
        columns = {name: rng.normal(size=rows).astype(np.float32) for name in ("a", "b", "c")}
        columns["y"] = columns["a"] - 2 * columns["c"] + rng.standard_t(2, rows).astype(np.float32)
        columns["w"] = rng.uniform(0.5, 2, rows).astype(np.float32)
        write_parquet(tmp_path / "data" / f"{number}.parquet", columns, row_group_size=700)
    return tmp_path / "data"


def fit(files: Path, name: str, **sections: Any) -> tuple[Run, int]:
    """The run, and how many passes were made over kept blocks."""
    passes = []
    by_lane = resident.ResidentSweep.by_lane

    def counted(rows: resident.ResidentSweep, *plane: Any) -> Any:
        passes.append(rows)
        return by_lane(rows, *plane)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "native")
        patch.setattr(resident.ResidentSweep, "by_lane", counted)
        data = {"path": str(files), "target": "y", "features": ["a", "b", "c"]}
        run = train(
            {
                "version": 1,
                "name": name,
                "data": data | sections.pop("data", {}),
                "solver": {"name": "lbfgs", "epochs": 4},
                "run": {"storage_path": str(files.parent / "runs")},
                "outputs": {"report": False},
                **sections,
            }
        )
    return run, len(passes)


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("weight", [None, "w"])
def test_all_passes_are_over_kept_blocks_with_the_bits_of_row_groups_one_by_one(
    files: Path, monkeypatch: pytest.MonkeyPatch, loss: str, weight: str | None
) -> None:
    how: dict[str, Any] = {
        "model": {"loss": loss},
        "data": {"weight": weight, "validation": {"method": "hash", "fraction": 0.2}},
        "scaling": {"virtual_shards": 3},
    }
    whole, passes = fit(files, "whole", **how)
    assert passes == whole.result["solver"]["evaluations"] > 3
    with monkeypatch.context() as patch:
        patch.setattr(resident, "_MOST_NUMBERS", 1)  # a call for each row group
        in_parts, _ = fit(files, "in-parts", **how)
    monkeypatch.setattr(objective.ResidentSweep, "of", lambda training: None)
    one_by_one, none = fit(files, "one-by-one", **how)
    assert none == 0
    for other in (in_parts, one_by_one):
        assert other.model.coef_.tobytes() == whole.model.coef_.tobytes()
        assert other.model.intercept_ == whole.model.intercept_
        assert other.result["solver"]["evaluations"] == whole.result["solver"]["evaluations"]


def test_blocks_that_are_not_kept_are_read_in_every_pass(files: Path) -> None:
    kept, _ = fit(files, "kept")
    read, passes = fit(files, "read", scaling={"memory_budget": 0, "disk_budget": 0})
    assert passes == 0
    assert read.model.coef_.tobytes() == kept.model.coef_.tobytes()
