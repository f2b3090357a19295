"""Native kernels against plain tensor operations, for the same rows and for whole jobs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from linreg_dist.errors import SpecError
from linreg_dist.kernels.choice import VARIABLE, use_native
from linreg_dist.stats.kernel import native_sums, shifted_sums
from linreg_dist.stats.moments import Moments
from linreg_dist.training.rows import native
from linreg_dist.training.rows.metrics import ErrorSums
from linreg_dist.training.rows.sweep import Hyperplane, Rows, sweep
from tests.parquet import linear_columns, write_parquet
from tests.training.problems import block_of, random_rows


def natively(rows: Rows) -> Rows:
    return dataclasses.replace(rows, native=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_a_step_has_the_same_sums(dtype, weighted, loss):
    rows = random_rows(5000, 6, 2, weighted=weighted, dtype=dtype)
    pieces = [rows.part(a, b) for a, b in ((0, 3), (3, 40), (40, 40), (40, 4000), (4000, 5000))]
    generator = torch.Generator().manual_seed(0)
    coef = torch.randn(6, 2, generator=generator, dtype=torch.float64)
    epsilon = torch.tensor([0.5, 1.0], dtype=torch.float64) if loss == "huber" else None
    plane = Hyperplane(coef, torch.ones(2, dtype=torch.float64), loss, epsilon)
    plain, fast = sweep(pieces, plane, None), sweep([natively(piece) for piece in pieces], plane, None)
    rtol = 1e-12 if dtype == torch.float64 else 2e-5
    assert fast.weight == pytest.approx(plain.weight, rel=1e-12)
    for part in ("loss_K", "squared_K", "grad_DK", "grad_K"):
        torch.testing.assert_close(getattr(fast, part), getattr(plain, part), rtol=rtol, atol=rtol * 5000)


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_are_summed_alike(weighted):
    rows = random_rows(5000, 6, 2, weighted=weighted, dtype=torch.float32)
    coef, intercept = torch.ones(6, 2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    model = coef.numpy(), intercept.numpy(), intercept.numpy()
    plain, fast = (ErrorSums.of(block_of(each), *model) for each in (rows, natively(rows)))
    np.testing.assert_allclose(fast.values, plain.values, rtol=1e-5, atol=1e-2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments_are_the_same(weighted, dtype):
    rows = random_rows(3000, 6, 2, weighted=weighted, dtype=dtype, loc=100.0)
    block = block_of(rows)
    arrays, either = (block.x_ND, block.y_NK, block.w_N), (shifted_sums, native_sums)
    plain, fast = (Moments.from_block(*arrays, sums=sums) for sums in either)
    np.testing.assert_allclose(fast.cross, plain.cross, rtol=1e-11, atol=1e-9)
    np.testing.assert_allclose(fast.mean, plain.mean, rtol=1e-13, atol=0.0)
    spans = [[(0, 10), (500, 1000)], [(10, 500)]]
    parts = [Moments.from_spans(*arrays, spans, sums=sums) for sums in either]
    for a, b in zip(*parts, strict=True):
        np.testing.assert_allclose(b.cross, a.cross, rtol=1e-11, atol=1e-9)


def test_columns_that_are_not_contiguous_are_refused():
    with pytest.raises(ValueError, match="contiguous"):
        native.addresses([Rows(torch.zeros(5, 3), torch.zeros(1, 5).t(), None)])


@pytest.mark.parametrize(
    ("model", "solver"),
    [
        ({}, {"name": "exact"}),
        ({}, {"name": "lbfgs", "epochs": 5}),
        ({"loss": "huber"}, {"name": "lbfgs", "epochs": 20}),
        ({}, {"name": "sgd", "epochs": 2, "global_batch_size": 64}),
        ({"loss": "huber", "l2": 0.01}, {"name": "adam", "epochs": 2, "global_batch_size": 500}),
    ],
)
def test_a_job_gives_the_same_answer_either_way(tmp_path, train_here, monkeypatch, model, solver):
    data = write_parquet(tmp_path / "a.parquet", linear_columns(4000, 5), row_group_size=700)
    runs = []
    for kernels in ("plain", "native"):
        monkeypatch.setenv(VARIABLE, kernels)
        settings = {"model": model, "solver": solver, "run": {"storage_path": str(tmp_path / kernels)}}
        validation = {"validation": {"method": "hash", "fraction": 0.2, "seed": 0}}
        runs.append(train_here(data, data=validation, **settings))
    plain, fast = runs
    atol = 1e-11 if solver["name"] == "exact" else 2e-6
    np.testing.assert_allclose(fast.model.coef_, plain.model.coef_, rtol=0, atol=atol)
    for split in ("train", "validation"):
        for name, value in plain.metrics[split].items():
            assert fast.metrics[split][name] == pytest.approx(value, rel=1e-5)


def test_a_small_job_is_not_worth_loading_them(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not use_native(1_000_000, 10)
    assert use_native(1_000_000_000)
    assert use_native(1_000, 100_000), "many small steps"
    monkeypatch.setenv(VARIABLE, "plain")
    assert not use_native(1_000_000_000)
    monkeypatch.setenv(VARIABLE, "fast")
    with pytest.raises(SpecError, match=r"'fast'; expected one of auto, native, plain"):
        use_native(1)
