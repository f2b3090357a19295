"""An exact pass that is interrupted goes on where it was: no row group twice, none lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linreg_dist.data.store import BlockStore
from linreg_dist.errors import LinregDistError
from linreg_dist.solvers.exact.sums.partials import FOLDER
from linreg_dist.verbs.stats import open_statistics
from linreg_dist.verbs.train import train
from tests.solvers.problems import Problem, features_of, make_problem

LANES = 3


class PowerCutError(Exception):
    """What no code of ours expects."""


class Reads:
    """Counts the row groups that are decoded, and fails at a given one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: list[int] = []
        self.fail_at: int | None = None
        build = BlockStore.build

        def counting(store: BlockStore, index: int) -> Any:
            if self.fail_at is not None and len(self.seen) >= self.fail_at:
                raise PowerCutError
            self.seen.append(index)
            return build(store, index)

        monkeypatch.setattr(BlockStore, "build", counting)


def _spec(problem: Problem, name: str, **sections: Any) -> dict[str, Any]:
    return {
        "name": name,
        "data": {"path": str(problem.path), "target": "y", "features": features_of(problem), "weight": "w"},
        "scaling": {"virtual_shards": LANES},
        "run": {
            "storage_path": str(problem.path.parent / "runs"),
            "checkpoint_every_s": 1e-9,
            "max_failures": 0,
        },
        **sections,
    }


@pytest.mark.parametrize("fail_at", [1, 5, 13, 17])
@pytest.mark.parametrize("tune", [None, {"l2": [0.01, 0.1], "folds": 3}])
def test_a_continued_pass_has_the_bits_of_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int, tune: dict[str, Any] | None
) -> None:
    problem = make_problem(tmp_path / "d", num_rows=2700)  # 18 row groups
    reads = Reads(monkeypatch)
    whole = train(_spec(problem, "whole", tune=tune))
    assert sorted(reads.seen) == list(range(18))

    reads.seen, reads.fail_at = [], fail_at
    with pytest.raises((LinregDistError, PowerCutError)):
        train(_spec(problem, "cut", tune=tune))
    kept = _row_groups_in_checkpoints(tmp_path / "runs" / "cut" / FOLDER)
    assert set(kept) <= set(reads.seen)
    assert max(Counter(kept).values(), default=1) == 1

    reads.seen, reads.fail_at = [], None
    run = train(_spec(problem, "cut", tune=tune))
    assert sorted([*kept, *reads.seen]) == list(range(18))
    np.testing.assert_array_equal(run.model.coef_, whole.model.coef_)
    assert run.result["rows"] == whole.result["rows"]
    assert run.metrics["validation"]["mse"] == pytest.approx(whole.metrics["validation"]["mse"], rel=1e-12)
    assert open_statistics(run.path).consumed == open_statistics(whole.path).consumed
    assert not (run.path / FOLDER).exists()


@pytest.mark.usefixtures("light_workers")
def test_another_number_of_workers_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem(tmp_path / "d", num_rows=2700)
    reads = Reads(monkeypatch)
    whole = train(_spec(problem, "whole"))
    reads.seen, reads.fail_at = [], 13
    with pytest.raises((LinregDistError, PowerCutError)):
        train(_spec(problem, "cut"))
    monkeypatch.undo()
    scaling = {"virtual_shards": LANES, "num_workers": 2}
    run = train(_spec(problem, "cut", scaling=scaling))
    assert run.result["num_workers"] == 2
    np.testing.assert_array_equal(run.model.coef_, whole.model.coef_)
    assert open_statistics(run.path).consumed == open_statistics(whole.path).consumed


def test_a_torn_checkpoint_is_summed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem(tmp_path / "d", num_rows=2700)
    reads = Reads(monkeypatch)
    reads.fail_at = 15
    with pytest.raises((LinregDistError, PowerCutError)):
        train(_spec(problem, "cut"))
    torn = sorted((tmp_path / "runs" / "cut" / FOLDER).iterdir())[0]
    torn.write_bytes(torn.read_bytes()[:-100])
    kept = _row_groups_in_checkpoints(torn.parent)
    reads.seen, reads.fail_at = [], None
    run = train(_spec(problem, "cut"))
    assert sorted([*kept, *reads.seen]) == list(range(18))
    assert open_statistics(run.path).moments.n + run.result["rows"]["validation"] == 2700


def test_checkpoints_of_other_data_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem(tmp_path / "d", num_rows=2700)
    reads = Reads(monkeypatch)
    reads.fail_at = 10
    with pytest.raises((LinregDistError, PowerCutError)):
        train(_spec(problem, "cut"))
    (tmp_path / "runs" / "cut" / FOLDER).rename(tmp_path / "kept")
    make_problem(tmp_path / "d", num_rows=2700, seed=1)
    reads.seen, reads.fail_at = [], 0
    with pytest.raises((LinregDistError, PowerCutError)):  # a run of the other data, with nothing kept yet
        train(_spec(problem, "cut2"))
    reads.fail_at = None
    (tmp_path / "kept").rename(tmp_path / "runs" / "cut2" / FOLDER)
    train(_spec(problem, "cut2"))
    assert sorted(reads.seen) == list(range(18))


def _row_groups_in_checkpoints(folder: Path) -> list[int]:
    from linreg_dist.errors import DataError
    from linreg_dist.stats.artefact import load_artefact

    kept: list[int] = []
    for path in folder.glob("*.safetensors"):
        try:
            kept += load_artefact(path).consumed
        except DataError:  # torn on purpose
            continue
    return kept
