from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from linreg_dist.training.rows import sweep as sweep_module
from linreg_dist.training.rows.sweep import Hyperplane, Rows, SweepPool, SweptLinear, bundle_small, sweep
from tests.training.problems import random_rows, random_scale, unit_scale


def split_rows(rows: Rows, *cuts: int) -> list[Rows]:
    edges = [0, *cuts, rows.x_ND.shape[0]]
    return [
        Rows(rows.x_ND[a:b], rows.y_NK[a:b], None if rows.w_N is None else rows.w_N[a:b])
        for a, b in pairwise(edges)
    ]


def randomised(model: SweptLinear, seed: int = 3) -> SweptLinear:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.linear.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def gradients(model: SweptLinear) -> list[torch.Tensor]:
    return [model.linear.weight.grad, model.linear.bias.grad, model.carried.grad]


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [1, 3])
def test_the_gradient_is_the_derivative_of_the_value(loss, weighted, k):
    pieces = split_rows(random_rows(40, 4, k, weighted=weighted), 7, 7, 25)
    model = SweptLinear(4, k, random_scale(4, k), loss=loss, huber_epsilon=1.1)

    def value(weight, bias, carried):
        return torch.func.functional_call(
            model, {"linear.weight": weight, "linear.bias": bias, "carried": carried}, (pieces,)
        )

    randomised(model)
    inputs = [
        model.linear.weight.detach().clone().requires_grad_(),
        model.linear.bias.detach().clone().requires_grad_(),
        torch.zeros(1 + k, dtype=torch.float64, requires_grad=True),
    ]
    assert torch.autograd.gradcheck(value, inputs, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_value_and_gradient_equal_a_plain_linear_layer_with_autograd(weighted, scaled):
    rows = random_rows(500, 5, 2, weighted=weighted)
    scale = random_scale(5, 2) if scaled else unit_scale(5, 2)
    model = randomised(SweptLinear(5, 2, scale))
    plain = nn.Linear(5, 2, dtype=torch.float64)
    plain.load_state_dict(model.linear.state_dict())

    z = (rows.x_ND - torch.from_numpy(scale.x_mean_D)) / torch.from_numpy(scale.x_scale_D)
    u = (rows.y_NK - torch.from_numpy(scale.y_mean_K)) / torch.from_numpy(scale.y_scale_K)
    errors = nn.functional.mse_loss(plain(z), u, reduction="none")
    w = torch.ones(500, dtype=torch.float64) if rows.w_N is None else rows.w_N
    expected = 0.5 * (w[:, None] * errors).sum()
    expected.backward()

    value = model(split_rows(rows, 123))
    value.backward()
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0.0)
    torch.testing.assert_close(model.linear.weight.grad, plain.weight.grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(model.linear.bias.grad, plain.bias.grad, rtol=1e-10, atol=1e-10)
    carried = torch.cat([w.sum()[None], (w[:, None] * errors).sum(0).detach()])
    torch.testing.assert_close(model.carried.grad, carried, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_huber_equals_torchs(weighted):
    rows = random_rows(500, 3, 1, weighted=weighted)
    model = randomised(SweptLinear(3, 1, unit_scale(3, 1), loss="huber", huber_epsilon=0.7))
    plain = nn.Linear(3, 1, dtype=torch.float64)
    plain.load_state_dict(model.linear.state_dict())
    losses = nn.functional.huber_loss(plain(rows.x_ND), rows.y_NK, reduction="none", delta=0.7)
    w = 1.0 if rows.w_N is None else rows.w_N[:, None]
    (w * losses).sum().backward()
    value = model([rows])
    value.backward()
    torch.testing.assert_close(value, (w * losses).sum().detach(), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(model.linear.weight.grad, plain.weight.grad, rtol=1e-10, atol=1e-10)
    assert 0.1 < ((plain(rows.x_ND) - rows.y_NK).abs() > 0.7).double().mean() < 0.9, "both branches"


def test_an_upstream_factor_scales_the_gradient():
    rows = random_rows(20)
    one, three = (randomised(SweptLinear(3, 1, unit_scale(3, 1))) for _ in range(2))
    one([rows]).backward()
    (3.0 * three([rows])).backward()
    for a, b in zip(gradients(one), gradients(three), strict=True):
        torch.testing.assert_close(3.0 * a, b)


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_no_rows_are_no_loss_and_no_gradient(loss):
    rows = random_rows(10, 3, 2)
    for pieces in ([], split_rows(rows, 0)[:1]):
        model = randomised(SweptLinear(3, 2, random_scale(3, 2), loss=loss))
        value = model(pieces)
        value.backward()
        assert value.item() == 0.0
        assert all((gradient == 0).all() for gradient in gradients(model))
        assert model.normalise_gradients() == (0.0, [0.0, 0.0])


def test_empty_pieces_among_others_change_nothing():
    rows = random_rows(30)
    whole, pieced = (randomised(SweptLinear(3, 1, unit_scale(3, 1))) for _ in range(2))
    whole([rows]).backward()
    pieced(split_rows(rows, 0, 10, 10, 30)).backward()
    for a, b in zip(gradients(whole), gradients(pieced), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


def test_threads_give_the_same_bits_as_one_thread():
    rows = random_rows(1 << 18, 4, dtype=torch.float32, weighted=True)
    pieces = split_rows(rows, 100_000, 150_000, 240_000)
    assert rows.x_ND.numel() >= sweep_module._INLINE_ELEMENTS, "else the threads are not used"
    with ThreadPoolExecutor(3) as executor:
        pool = SweepPool(executor, 3)
        inline, threaded = (
            randomised(SweptLinear(4, 1, random_scale(4, 1), pool=used)) for used in (None, pool)
        )
        values = [model(pieces) for model in (inline, threaded)]
        for value in values:
            value.backward()
    assert torch.equal(*values)
    for a, b in zip(gradients(inline), gradients(threaded), strict=True):
        assert torch.equal(a, b)


@example(sizes=[25, 20, 25, 25, 3], weighted=False, width=1)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=30),
    weighted=st.booleans(),
    width=st.integers(1, 4),
)
@settings(max_examples=50, deadline=None)
def test_small_pieces_are_copied_together_in_order_and_large_ones_stay(sizes, weighted, width):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_module, "_SMALL_ELEMENTS", 30)
        patch.setattr(sweep_module, "_BUNDLE_ELEMENTS", 50)
        rows = random_rows(sum(sizes), width, 2, weighted=weighted)
        pieces = split_rows(rows, *np.cumsum(sizes)[:-1].tolist())
        bundles = bundle_small(pieces)
        sums = sweep(
            pieces, Hyperplane(torch.ones(width, 2).double(), torch.ones(2).double(), "squared"), None
        )
    assert [piece for bundle in bundles for piece in bundle] == pieces, "each once, in order"
    for bundle in bundles:
        numels = [piece.x_ND.numel() for piece in bundle]
        assert len(bundle) == 1 or (max(numels) < 30 and sum(numels) <= 50)
    for left, right in pairwise(bundles):  # none that would still have fitted stays by itself
        fits = sum(piece.x_ND.numel() for piece in left) + right[0].x_ND.numel() <= 50
        assert not fits or left[-1].x_ND.numel() >= 30 or right[0].x_ND.numel() >= 30
    residual = rows.x_ND.sum(1, keepdim=True) + 1.0 - rows.y_NK
    weighted_residual = residual if rows.w_N is None else residual * rows.w_N[:, None]
    torch.testing.assert_close(sums.grad_DK, rows.x_ND.t() @ weighted_residual, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(sums.squared_K, (weighted_residual * residual).sum(0), rtol=1e-10, atol=1e-10)
    assert sums.weight == pytest.approx(sum(sizes) if rows.w_N is None else float(rows.w_N.sum()))


def test_small_pieces_give_the_same_sums_however_workers_share_them():
    rows = random_rows(12 * 80, 5, dtype=torch.float32, weighted=True)
    pieces = split_rows(rows, *range(80, 12 * 80, 80))
    plane = Hyperplane(torch.ones(5, 1).double(), torch.ones(1).double(), "huber", torch.ones(1).double())
    alone = sweep(pieces, plane, None)
    for num_workers in (2, 3, 12):
        shared = [sweep(pieces[rank::num_workers], plane, None) for rank in range(num_workers)]
        for part in ("loss_K", "squared_K", "grad_DK", "grad_K"):
            total = torch.stack([getattr(sums, part) for sums in shared]).sum(0)
            torch.testing.assert_close(total, getattr(alone, part), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(1_000_000, 1), (300_000, 8), (3000, 1000)])
@pytest.mark.parametrize("weighted", [False, True])
def test_float32_rows_give_sums_good_to_six_digits(n, d, weighted):
    rows = random_rows(n, d, dtype=torch.float32, weighted=weighted)
    exact = Rows(*(None if z is None else z.double() for z in (rows.x_ND, rows.y_NK, rows.w_N)))
    coef, intercept = torch.full((d, 1), 0.25, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    got, expected = (sweep([r], Hyperplane(coef, intercept, "squared"), None) for r in (rows, exact))
    residual = exact.x_ND @ coef - exact.y_NK
    w = torch.ones(n, dtype=torch.float64) if exact.w_N is None else exact.w_N
    size_DK = exact.x_ND.abs().t() @ (w[:, None] * residual.abs())
    assert ((got.grad_DK - expected.grad_DK).abs() / size_DK).max() < 1e-6
    assert abs(got.weight / expected.weight - 1.0) < 1e-7
    np.testing.assert_allclose(got.squared_K, expected.squared_K, rtol=1e-6)
    np.testing.assert_allclose(got.loss_K, expected.loss_K, rtol=1e-6)


def test_sums_keep_their_digits_for_residuals_of_a_million():
    rows = random_rows(200_000, 2, dtype=torch.float32)
    far = Rows(rows.x_ND, rows.y_NK + 1e6, None)
    zeros = torch.zeros(2, 1, dtype=torch.float64)
    sums = sweep([far], Hyperplane(zeros, torch.zeros(1, dtype=torch.float64), "squared"), None)
    expected = far.y_NK.double()
    np.testing.assert_allclose(sums.grad_K, -expected.sum(0), rtol=1e-6)
    np.testing.assert_allclose(sums.squared_K, expected.square().sum(0), rtol=1e-6)


def test_normalised_gradients_are_those_of_the_weighted_mean():
    rows = random_rows(50, 3, 2, weighted=True)
    model = randomised(SweptLinear(3, 2, unit_scale(3, 2)))
    model([rows]).backward()
    sums = [gradient.clone() for gradient in gradients(model)]
    weight, squared = model.normalise_gradients()
    assert weight == pytest.approx(rows.w_N.sum().item(), rel=1e-12)
    torch.testing.assert_close(model.linear.weight.grad, sums[0] / weight)
    torch.testing.assert_close(model.linear.bias.grad, sums[1] / weight)
    assert squared == pytest.approx((sums[2][1:] / weight).tolist())


def test_without_an_intercept_the_bias_has_no_gradient():
    model = SweptLinear(3, 1, unit_scale(3, 1), fit_intercept=False)
    model([random_rows(50)]).backward()
    model.normalise_gradients()
    assert model.linear.bias.grad.tolist() == [0.0]
    assert (model.linear.weight.grad != 0).all()


def test_normalising_before_backward_is_refused():
    with pytest.raises(RuntimeError, match="must follow backward"):
        SweptLinear(3, 1, unit_scale(3, 1)).normalise_gradients()
