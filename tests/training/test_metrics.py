from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from linreg_dist.training.rows.device import error_sums
from linreg_dist.training.rows.metrics import ErrorSums
from linreg_dist.training.rows.sweep import Rows
from tests.training.problems import block_of, column_major, random_rows


def sums_of(rows: Rows, coef_DK, intercept_K, center_K=None) -> ErrorSums:
    center = rows.y_NK.double().mean(0).numpy() if center_K is None else np.asarray(center_K)
    return ErrorSums.of(block_of(rows), coef_DK, intercept_K, center)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("n", [2, 1000, 120_000])
def test_metrics_equal_scikit_learns(n, k, weighted, dtype):
    rows = random_rows(n, 4, k, weighted=weighted, dtype=dtype)
    rng = np.random.default_rng(9)
    coef, intercept = rng.normal(size=(4, k)), rng.normal(size=k)
    names = [f"t{i}" for i in range(k)]
    got = sums_of(rows, coef, intercept).metrics(names)
    x, y = rows.x_ND.double().numpy(), rows.y_NK.double().numpy()
    w = None if rows.w_N is None else rows.w_N.double().numpy()
    predicted = x @ coef + intercept
    rtol = 1e-4 if dtype == torch.float32 else 1e-9
    raw = {"sample_weight": w, "multioutput": "raw_values"}
    mse = sk.mean_squared_error(y, predicted, **raw)
    expected = {
        "mse": mse,
        "rmse": np.sqrt(mse),
        "mae": sk.mean_absolute_error(y, predicted, **raw),
        "r2": sk.r2_score(y, predicted, **raw),
    }
    for key, values in expected.items():
        assert getattr(got, key) == pytest.approx(values.mean(), rel=rtol, abs=rtol / 10), key
        if k > 1:
            each = [getattr(got.per_target[name], key) for name in names]
            np.testing.assert_allclose(each, values, rtol=rtol, atol=rtol / 10, err_msg=key)


@pytest.mark.parametrize("weighted", [False, True])
def test_tensors_as_on_a_gpu_have_the_same_sums(weighted):
    rows = random_rows(3000, 3, 2, weighted=weighted)
    coef, intercept, center = np.ones((3, 2)), np.array([0.25, 0.0]), np.array([0.5, -0.5])
    there = error_sums(rows, *(torch.from_numpy(each) for each in (coef, intercept, center)))
    np.testing.assert_allclose(there, sums_of(rows, coef, intercept, center).values, rtol=1e-11, atol=1e-9)


def test_parts_add_up_to_the_whole():
    rows = random_rows(1000, 3, 2, weighted=True)
    coef, intercept, center = np.ones((3, 2)), np.zeros(2), np.array([0.5, -0.5])
    whole = sums_of(rows, coef, intercept, center)
    total = ErrorSums.zeros(2)
    for a, b in ((0, 0), (0, 10), (10, 700), (700, 1000)):
        part = Rows(rows.x_ND[a:b], rows.y_NK[a:b], rows.w_N[a:b])
        total.merge(sums_of(part, coef, intercept, center))
    np.testing.assert_allclose(total.values, whole.values, rtol=1e-12, atol=1e-12)


def test_r2_does_not_depend_on_the_centre():
    rows = random_rows(500, 2)
    coef, intercept = np.full((2, 1), 0.3), np.array([0.1])
    r2 = [sums_of(rows, coef, intercept, [c]).metrics(["y"]).r2 for c in (0.0, 3.0, -100.0)]
    assert r2 == pytest.approx([r2[0]] * 3, rel=1e-9)


def test_no_rows_and_no_weight_have_no_metrics():
    assert ErrorSums.zeros(2).metrics(["a", "b"]) is None
    rows = random_rows(5, 2)
    weightless = Rows(rows.x_ND, rows.y_NK, torch.zeros(5, dtype=torch.float64))
    assert sums_of(weightless, np.ones((2, 1)), np.zeros(1)).metrics(["y"]) is None


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_target_has_no_r2(value, dtype):
    rows = Rows(random_rows(100, 2, dtype=dtype).x_ND, column_major(np.full((100, 1), value), dtype), None)
    got = sums_of(rows, np.zeros((2, 1)), np.array([value + 1.0])).metrics(["y"])
    assert got.r2 is None
    assert got.mse == pytest.approx(1.0, rel=1e-1)


def test_a_constant_target_among_others_is_left_out_of_the_mean_r2():
    rows = random_rows(100, 2, 2)
    rows.y_NK[:, 1] = 4.0
    got = sums_of(rows, np.zeros((2, 2)), np.zeros(2)).metrics(["a", "b"])
    assert got.per_target["b"].r2 is None
    assert got.r2 == got.per_target["a"].r2


def test_one_row_has_an_error_and_no_r2():
    rows = random_rows(1, 2)
    got = sums_of(rows, np.zeros((2, 1)), np.zeros(1)).metrics(["y"])
    assert got.r2 is None
    assert got.mae == pytest.approx(abs(rows.y_NK.item()))
