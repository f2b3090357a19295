from __future__ import annotations

import pytest

from linreg_dist.jobspec import load_spec
from linreg_dist.solvers import SOLVERS
from linreg_dist.solvers.automatic import MAX_EXACT_COLUMNS


def choose(*, is_update: bool = False, **sections):
    spec = load_spec({"data": {"path": "d", "target": "y"}, **sections})
    return SOLVERS[spec.solver.name].choose(spec, is_update=is_update)


def test_squared_loss_is_solved_exactly_as_long_as_the_columns_are_few():
    choice = choose()
    assert choice.settled(MAX_EXACT_COLUMNS).solver.name == "exact"
    wide = choice.settled(MAX_EXACT_COLUMNS + 1)
    assert wide.solver.name == "lbfgs"
    assert wide.reason == "auto: more than 4,096 columns after encoding are too many for a Gram matrix"


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"l1": 0.1}},
        {"model": {"covariance": "HC1"}},
        {"tune": {"l2": [0.1]}},
        {"is_update": True},
    ],
)
def test_what_only_the_exact_solver_can_do_it_does_for_any_number_of_columns(sections):
    assert choose(**sections).settled(10**6).solver.name == "exact"


@pytest.mark.parametrize(("model", "name"), [({}, "lbfgs"), ({"l1": 0.1}, "sgd"), ({"l2": 0.1}, "lbfgs")])
def test_huber_loss_has_no_closed_form(model, name):
    choice = choose(model={"loss": "huber", **model})
    assert choice.solver.name == name
    assert choice.reason.startswith("auto: huber loss has no closed form")
    assert choice.settled(10**6).solver.name == name


def test_a_solver_that_the_spec_names_runs():
    choice = choose(solver={"name": "adam"})
    assert (choice.solver.name, choice.reason, choice.fallback) == ("adam", "chosen in the spec", None)
