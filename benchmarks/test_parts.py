"""Each part of a pass on its own; every benchmark checks what it computed, so that it cannot time a no-op."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.contenders.floor import scan
from benchmarks.parts import Parts
from linreg_dist.data.plan import deal_lanes, plan_epoch
from linreg_dist.data.rows import hash_split
from linreg_dist.stats.crossval import cross_validate
from linreg_dist.stats.moments import Moments, merged_moments
from linreg_dist.stats.penalised import penalty_grid
from linreg_dist.training.rows import sweep as sweep_module
from linreg_dist.training.rows.sweep import Hyperplane, Rows, sweep


def test_scan_one_file_into_column_major_blocks(benchmark: Any, parts: Parts) -> None:
    """The floor, for comparison with the next."""
    rows = benchmark(scan, parts.dataset.files[:1])
    assert rows == 125_000


def test_decode_split_shuffle_and_encode_one_row_group(benchmark: Any, parts: Parts) -> None:
    builder = parts.builder()
    block, _ = benchmark(builder.build, parts.manifest.row_groups[0])
    assert block.num_rows == 125_000
    assert block.x_ND.T.flags.c_contiguous, "each column lies in one piece"


@pytest.mark.parametrize("features", [8, 32, 256])
def test_sweep_over_a_block_in_memory(benchmark: Any, features: int) -> None:
    rows = 4_000_000 // features
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(features, rows, generator=generator).t()
    y = torch.randn(1, rows, generator=generator).t()
    coef, intercept = torch.zeros(features, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    torch.set_num_threads(1)
    sums = benchmark(sweep, [Rows(x, y, None)], Hyperplane(coef, intercept, "squared"), None)
    expected = -(x.t().double() @ y.double())
    torch.testing.assert_close(sums.grad_DK, expected, rtol=1e-3, atol=1.0)


@pytest.mark.parametrize("together", [True, False], ids=["together", "one_by_one"])
def test_sweep_over_a_step_of_many_small_pieces(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    """What mini-batches of a thousand rows bring: a few dozen rows of each lane."""
    if not together:
        monkeypatch.setattr(sweep_module, "_SMALL_ELEMENTS", 0)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(19, 48_000, generator=generator).t()
    y = torch.randn(1, 48_000, generator=generator).t()
    pieces = [Rows(x[at : at + 83], y[at : at + 83], None) for at in range(0, 48_000, 4_000)]
    coef, intercept = torch.zeros(19, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    torch.set_num_threads(1)
    sums = benchmark(sweep, pieces, Hyperplane(coef, intercept, "squared"), None)
    expected = sum(-(rows.x_ND.t().double() @ rows.y_NK.double()) for rows in pieces)
    torch.testing.assert_close(sums.grad_DK, expected, rtol=1e-3, atol=1e-2)


def test_hash_split_of_one_row_group(benchmark: Any) -> None:
    mask = benchmark(hash_split, "part-000.parquet", 1_000_000, 125_000, 0.2, 0)
    assert np.mean(mask) == pytest.approx(0.2, abs=0.01)


def test_plan_of_one_epoch_with_its_slices(benchmark: Any, parts: Parts) -> None:
    dealt = deal_lanes(parts.manifest, 2)

    def plan() -> int:
        epoch = plan_epoch(parts.manifest, dealt, epoch=1, steps=128, shuffle=True, seed=0)
        return sum(
            piece.stop - piece.start
            for lane in range(2)
            for step in range(128)
            for piece in epoch.slices(lane, step)
        )

    assert benchmark(plan) == 250_000


def test_help_from_start_to_exit(benchmark: Any) -> None:
    """The contract asks for under 0.3 s."""
    command = [sys.executable, "-m", "linreg_dist", "--help"]
    done = benchmark(subprocess.run, command, capture_output=True, text=True, check=True)
    assert "train" in done.stdout


def test_a_hundred_penalties_in_five_folds_from_their_moments(benchmark: Any) -> None:
    generator = np.random.default_rng(0)
    names = tuple(f"x{j}" for j in range(32))
    folds = []
    for _ in range(5):
        x = generator.standard_normal((32, 5_000)).T
        y = x[:, :1] + generator.standard_normal((5_000, 1))
        folds.append(Moments.from_block(x, y, None, feature_names=names, target_names=("y",)))
    grid = penalty_grid(merged_moments(folds), l1_ratio=0.9, num=100)
    result = benchmark(cross_validate, folds, grid)
    assert result.fold_mse.size == 500
