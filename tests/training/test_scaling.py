from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.data.block import Shift
from linreg_dist.data.summary import BlockSummary, MomentSums, RowCounts
from linreg_dist.training.rows.scaling import AffineScale
from tests.training.problems import random_scale


def summary_of(x_ND: np.ndarray, y_NK: np.ndarray) -> BlockSummary:
    moments = (
        MomentSums(float(len(z)), z.mean(axis=0), ((z - z.mean(axis=0)) ** 2).sum(axis=0))
        for z in (x_ND, y_NK)
    )
    return BlockSummary(RowCounts(), *moments)


@given(
    d=st.integers(1, 5),
    k=st.integers(1, 3),
    standardize=st.booleans(),
    scale_target=st.booleans(),
    fit_intercept=st.booleans(),
)
def test_blocks_units_and_original_units_give_the_same_predictions(
    d, k, standardize, scale_target, fit_intercept
):
    """A weight on the unit scale, folded for blocks or unfolded for the files, predicts the same target."""
    rng = np.random.default_rng(d * 10 + k)
    x, y = 3.0 + rng.normal(size=(20, d)), 5.0 + 2.0 * rng.normal(size=(20, k))
    shift = Shift(np.where(rng.random(d) < 0.5, 3.0, 0.0), np.where(rng.random(k) < 0.5, 5.0, 0.0))
    summary = summary_of(x - shift.x_D, y - shift.y_K)
    scale = AffineScale.from_summary(
        summary, shift, standardize=standardize, scale_target=scale_target, fit_intercept=fit_intercept
    )
    weight = torch.from_numpy(rng.normal(size=(k, d)))
    bias = torch.from_numpy(rng.normal(size=k)) * (1.0 if fit_intercept else 0.0)

    z = (x - shift.x_D - scale.x_mean_D) / scale.x_scale_D
    u = z @ weight.numpy().T + bias.numpy()
    expected = u * scale.y_scale_K + scale.y_mean_K + shift.y_K

    coef_DK, intercept_K = scale.to_blocks(weight, bias)
    in_blocks = (x - shift.x_D) @ coef_DK.numpy() + intercept_K.numpy() + shift.y_K
    coef_KD, intercept = scale.to_original(weight, bias, shift)
    np.testing.assert_allclose(in_blocks, expected, rtol=1e-10)
    np.testing.assert_allclose(x @ coef_KD.T + intercept, expected, rtol=1e-10)
    if not fit_intercept:
        np.testing.assert_allclose(intercept, 0.0, atol=1e-10)


@given(d=st.integers(1, 4), k=st.integers(1, 3))
def test_gradients_are_those_of_the_unit_scale_problem(d, k):
    rng = np.random.default_rng(d + 7 * k)
    scale = random_scale(d, k)
    x, y = torch.from_numpy(rng.normal(size=(15, d))), torch.from_numpy(rng.normal(size=(15, k)))
    weight = torch.from_numpy(rng.normal(size=(k, d))).requires_grad_()
    bias = torch.from_numpy(rng.normal(size=k)).requires_grad_()
    coef_DK, intercept_K = scale.to_blocks(weight, bias)
    residual = x @ coef_DK + intercept_K - y
    (0.5 * (residual / torch.from_numpy(scale.y_scale_K)) ** 2).sum().backward()
    got = scale.gradients((x.t() @ residual).detach(), residual.sum(0).detach())
    torch.testing.assert_close(got[0], weight.grad, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(got[1], bias.grad, rtol=1e-9, atol=1e-9)


def columns(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return 4.0 + 3.0 * rng.normal(size=(50, 2)), 7.0 + 2.0 * rng.normal(size=(50, 1))


NO_SHIFT = Shift(np.zeros(2), np.zeros(1))


def test_standardised_features_have_mean_0_and_variance_1():
    x, y = columns()
    scale = AffineScale.from_summary(
        summary_of(x, y), NO_SHIFT, standardize=True, scale_target=True, fit_intercept=True
    )
    z, u = (x - scale.x_mean_D) / scale.x_scale_D, (y - scale.y_mean_K) / scale.y_scale_K
    for values in (z, u):
        np.testing.assert_allclose(values.mean(axis=0), 0.0, atol=1e-12)
        np.testing.assert_allclose(values.std(axis=0), 1.0, rtol=1e-12)


def test_without_an_intercept_nothing_is_centred():
    x, y = columns()
    scale = AffineScale.from_summary(
        summary_of(x, y), NO_SHIFT, standardize=True, scale_target=True, fit_intercept=False
    )
    np.testing.assert_array_equal(scale.x_mean_D, 0.0)
    np.testing.assert_array_equal(scale.y_mean_K, 0.0)
    np.testing.assert_allclose(scale.x_scale_D, x.std(axis=0))


def test_not_standardised_is_the_units_of_the_files():
    x, y = columns()
    shift = Shift(np.array([4.0, 0.0]), np.array([7.0]))
    scale = AffineScale.from_summary(
        summary_of(x - shift.x_D, y - shift.y_K),
        shift,
        standardize=False,
        scale_target=True,
        fit_intercept=True,
    )
    np.testing.assert_array_equal((x - shift.x_D - scale.x_mean_D) / scale.x_scale_D, x)
    np.testing.assert_array_equal((y - shift.y_K - scale.y_mean_K) / scale.y_scale_K, y)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e9 + 0.1])
def test_a_constant_column_keeps_scale_1(value):
    x, y = columns()
    x[:, 0] = value
    scale = AffineScale.from_summary(
        summary_of(x, y), NO_SHIFT, standardize=True, scale_target=True, fit_intercept=True
    )
    assert scale.x_scale_D[0] == 1.0
    assert scale.x_scale_D[1] == pytest.approx(x[:, 1].std())
