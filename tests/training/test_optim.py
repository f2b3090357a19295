from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.jobspec import ModelSpec, SolverSpec
from linreg_dist.solvers import SOLVERS
from linreg_dist.solvers.gradient.optim import (
    Curvature,
    PenalisedOptimizer,
    adaptive_learning_rate,
    scheduled,
    sgd_learning_rate,
)
from linreg_dist.training.rows.sweep import SweptLinear
from tests.parquet import linear_columns, write_parquet
from tests.training.problems import unit_scale

OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")


def make(name: str, *, lr: float = 0.1, steps: int = 100, l1: float = 0.0, l2: float = 0.0, **solver: Any):
    model = SweptLinear(2, 1, unit_scale(2, 1))
    with torch.no_grad():
        model.linear.weight.copy_(torch.tensor([[1.0, -0.02]]))
        model.linear.bias.fill_(3.0)
    spec = SolverSpec(name=name, **solver)
    optimizer = PenalisedOptimizer(
        model,
        spec,
        ModelSpec(l1=l1, l2=l2),
        torch.tensor([l1], dtype=torch.float64),
        rule=SOLVERS[name].rule(spec),
        is_proximal=SOLVERS[name].is_proximal(spec),
        learning_rate=lr,
        total_steps=steps,
    )
    for parameter in model.linear.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return model, optimizer


@pytest.mark.parametrize("step", [0, 1, 50, 99])
def test_schedules_follow_their_formulas(step):
    assert scheduled(0.4, "constant", step, 100) == 0.4
    assert scheduled(0.4, "inverse_scaling", step, 100) == pytest.approx(0.4 / (step + 1) ** 0.25)
    assert scheduled(0.4, "cosine", step, 100) == pytest.approx(0.2 * (1 + math.cos(math.pi * step / 100)))


@pytest.mark.parametrize("schedule", ["constant", "inverse_scaling", "cosine"])
def test_a_step_uses_the_scheduled_rate(schedule):
    model, optimizer = make("sgd", lr=0.4, schedule=schedule)
    model.linear.weight.grad.fill_(1.0)
    optimizer.step(30)
    moved = 1.0 - model.linear.weight[0, 0].item()
    assert moved == pytest.approx(scheduled(0.4, schedule, 30, 100))


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_l2_adds_its_gradient_to_the_weights_and_never_to_the_intercept(name):
    penalised, optimizer = make(name, l2=0.5)
    optimizer.step(0)
    plain, reference = make(name)
    plain.linear.weight.grad.copy_(0.5 * plain.linear.weight.detach())
    reference.step(0)
    torch.testing.assert_close(penalised.linear.weight, plain.linear.weight)
    assert penalised.linear.bias.item() == 3.0


def test_adamw_decays_the_weights_themselves():
    model, optimizer = make("adamw", lr=0.1, l2=0.5)
    optimizer.step(0)
    assert model.linear.weight[0, 0].item() == pytest.approx(1.0 - 0.1 * 0.5)
    assert model.linear.bias.item() == 3.0


def test_l1_with_plain_sgd_is_a_soft_threshold_that_gives_exact_zeros():
    model, optimizer = make("sgd", lr=0.1, l1=0.5)
    optimizer.step(0)
    assert model.linear.weight.tolist() == [[pytest.approx(0.95), 0.0]]
    assert model.linear.bias.item() == 3.0


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_l1_with_other_steps_is_its_subgradient(name):
    momentum = {"momentum": 0.5} if name == "sgd" else {}
    penalised, optimizer = make(name, l1=0.5, **momentum)
    optimizer.step(0)
    plain, reference = make(name, **momentum)
    plain.linear.weight.grad.copy_(0.5 * torch.sign(plain.linear.weight.detach()))
    reference.step(0)
    torch.testing.assert_close(penalised.linear.weight, plain.linear.weight)


@pytest.mark.parametrize(
    ("name", "momentum"), [*((name, 0.0) for name in OPTIMIZERS), ("sgd", 0.9), ("rmsprop", 0.9)]
)
def test_steps_are_those_of_torchs_class_to_the_last_bit(name: str, momentum: float) -> None:
    model, optimizer = make(name, lr=0.05, l2=0.3, **({"momentum": momentum} if momentum else {}))
    weight, bias = (parameter.detach().clone().requires_grad_() for parameter in model.linear.parameters())
    classes = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
    }
    theirs = classes[name](
        [{"params": [weight], "weight_decay": 0.3}, {"params": [bias], "weight_decay": 0.0}],
        lr=0.05,
        **({"momentum": momentum} if momentum else {}),
    )
    generator = torch.Generator().manual_seed(1)
    for number in range(20):
        for ours, other in zip(model.linear.parameters(), (weight, bias), strict=True):
            ours.grad = torch.randn(ours.shape, generator=generator, dtype=ours.dtype)
            other.grad = ours.grad.clone()
        optimizer.step(number)
        theirs.step()
    assert torch.equal(model.linear.weight, weight)
    assert torch.equal(model.linear.bias, bias)


def test_a_fit_in_this_process_does_not_load_torchs_compiler(tmp_path: Path) -> None:
    """It takes more than a second of processor time, as long as many a fit."""
    program = (
        "import sys, linreg_dist as lr\n"
        "lr.train({'name': 'job', 'data': {'path': 'rows.parquet', 'target': 'y'},"
        " 'solver': {'name': 'adam', 'epochs': 2}})\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    write_parquet(tmp_path / "rows.parquet", linear_columns())
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def random_features(seed: int, n: int = 400, d: int = 5) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(d, d)) * rng.uniform(0.2, 2.0, size=d)
    return torch.from_numpy(rng.normal(size=(n, d)) @ mixing + rng.normal(size=d))


@settings(max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    batch=st.sampled_from([1, 4, 32, 400]),
    fit_intercept=st.booleans(),
    l2=st.sampled_from([0.0, 3.0]),
)
def test_sgd_with_the_chosen_rate_is_stable(seed, batch, fit_intercept, l2):
    """Least squares with y = 0: the iterate is the error, and must not grow over many steps."""
    z = random_features(seed)
    curvature = Curvature.measure(z, fit_intercept=fit_intercept)
    rate = sgd_learning_rate(curvature, batch, l2, 0.0)
    design = torch.cat([z, torch.ones(len(z), 1, dtype=z.dtype)], 1) if fit_intercept else z
    penalised = torch.tensor([l2] * z.shape[1] + [0.0] * fit_intercept, dtype=z.dtype)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.ones(design.shape[1], dtype=z.dtype)
    for _ in range(300):
        rows = design[torch.randint(len(z), (batch,), generator=generator)]
        weights = weights - rate * (rows.t() @ (rows @ weights) / batch + penalised * weights)
    assert (design @ weights).square().mean() < (design.sum(1)).square().mean()


def test_the_full_batch_rate_is_at_most_the_inverse_of_the_largest_eigenvalue():
    z = random_features(0)
    curvature = Curvature.measure(z, fit_intercept=False)
    largest = torch.linalg.eigvalsh(z.t() @ z / len(z))[-1].item()
    assert curvature.largest_eigenvalue == pytest.approx(largest)
    assert sgd_learning_rate(curvature, 1e12, 0.0, 0.0) == pytest.approx(1.0 / largest, rel=1e-6)
    assert sgd_learning_rate(curvature, 1e12, largest, 0.0) == pytest.approx(0.5 / largest, rel=1e-6)
    assert sgd_learning_rate(curvature, 1e12, 0.0, 0.9) == pytest.approx(0.1 / largest, rel=1e-6)


@pytest.mark.parametrize("z", [torch.zeros(0, 3), torch.zeros(5, 3), torch.zeros(5, 0)])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_rate_is_finite_where_there_is_nothing_to_measure(z, fit_intercept):
    curvature = Curvature.pooled([Curvature.measure(z.double(), fit_intercept=fit_intercept)])
    assert 0.0 < sgd_learning_rate(curvature, 1.0, 0.0, 0.0) < math.inf


@given(seed=st.integers(0, 1000), parts=st.integers(1, 5))
@settings(deadline=None)  # a busy machine takes its time
def test_pooled_curvature_bounds_that_of_all_rows(seed, parts):
    z = random_features(seed)
    z = z[z.norm(dim=1).argsort()]
    whole = Curvature.measure(z, fit_intercept=True)
    pooled = Curvature.pooled([Curvature.measure(part, fit_intercept=True) for part in z.chunk(parts)])
    assert pooled.largest_eigenvalue >= whole.largest_eigenvalue * (1.0 - 1e-9)
    assert pooled.row_bound == pytest.approx(whole.row_bound)
    assert (pooled.total, pooled.num_rows) == (pytest.approx(whole.total), whole.num_rows)


@given(st.integers(0, 10**9))
def test_the_adaptive_rate_lets_weights_travel_far_enough_within_bounds(total_steps):
    rate = adaptive_learning_rate(total_steps)
    assert 0.003 <= rate <= 0.1
    if 100 <= total_steps <= 3000:
        assert rate * total_steps == pytest.approx(10.0)
