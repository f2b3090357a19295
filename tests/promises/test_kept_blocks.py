"""Epochs after the first decode nothing while the blocks fit a budget; the answer does not depend on it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from linreg_dist.data.block import BlockBuilder
from tests.parts import write_parts

SOLVER = {"name": "sgd", "epochs": 4, "global_batch_size": 200, "early_stop": None}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Count how often each row group is decoded."""
    counts: Counter[int] = Counter()
    real = BlockBuilder.build

    def build(self, group):
        counts[group.index] += 1
        return real(self, group)

    monkeypatch.setattr(BlockBuilder, "build", build)
    return counts


@pytest.mark.parametrize(
    ("memory", "disk", "decodes"),
    [("1GiB", 0, 1), (0, "1GiB", 1), ("20KiB", "1GiB", 1), (0, 0, None)],
    ids=["memory", "disk", "both", "neither"],
)
def test_a_kept_block_is_decoded_once(tmp_path: Path, monkeypatch, train_here, built, memory, disk, decodes):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    write_parts(tmp_path / "data", [1000, 1000, 1000])
    scaling = {"memory_budget": memory, "disk_budget": disk, "virtual_shards": 2}
    run = train_here(tmp_path / "data", solver=SOLVER, scaling=scaling)
    built[0] -= 1  # the pilot looks at the first row group before there is a cache
    if decodes:
        assert set(built.values()) == {decodes}
    else:
        assert min(built.values()) >= SOLVER["epochs"]
    left = [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()]
    assert left == []
    kept = train_here(
        tmp_path / "data", fresh=True, solver=SOLVER, scaling={"memory_budget": "1GiB", "virtual_shards": 2}
    )
    np.testing.assert_array_equal(run.model.coef_, kept.model.coef_)
