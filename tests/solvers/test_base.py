from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from linreg_dist.jobspec import load_spec
from linreg_dist.solvers import SOLVERS, Choice, Fallback
from linreg_dist.solvers.exact.solver import Exact
from linreg_dist.solvers.lbfgs.solver import Lbfgs


def spec_of(**sections):
    return load_spec({"data": {"path": "d", "target": "y"}, **sections})


def test_a_choice_is_settled_once_by_the_number_of_columns():
    chosen = Choice(Exact(), "the reason", Fallback(Lbfgs(), 10, "too many"))
    few, many = chosen.settled(10), chosen.settled(11)
    assert (few.solver.name, few.reason, few.fallback) == ("exact", "the reason", None)
    assert (many.solver.name, many.reason, many.fallback) == ("lbfgs", "too many", None)
    assert many.instead_of == few
    assert many.settled(1) == many
    assert few.settled(1000) == few


def test_a_choice_travels_to_workers():
    sent = SOLVERS["auto"].choose(spec_of())
    came = pickle.loads(pickle.dumps(sent))  # as Ray sends a job  # noqa: S301
    assert (type(came.solver), came.reason) == (type(sent.solver), sent.reason)
    assert type(came.fallback.solver) is type(sent.fallback.solver)


def test_a_name_belongs_to_one_class():
    class Another(Exact):
        """Not the exact solver."""

    assert SOLVERS.add(Exact()) is SOLVERS["exact"]
    with pytest.raises(ValueError, match="there is a solver 'exact' already: Exact"):
        SOLVERS.add(Another())


def test_a_result_of_an_unknown_solver_is_taken_for_iterative():
    assert SOLVERS.is_iterative("of the future")
    assert SOLVERS.is_iterative(None)
    assert not SOLVERS.is_iterative("exact")


@pytest.mark.parametrize(
    ("model", "name", "expected"),
    [
        ({}, "exact", False),
        ({}, "sgd", True),
        ({"l2": 0.1}, "exact", True),
        ({"standardize": False}, "sgd", False),
        ({"standardize": True}, "exact", True),
    ],
)
def test_features_are_scaled_when_penalised_or_iterative(model, name, expected):
    assert SOLVERS[name].standardize(spec_of(model=model, solver={"name": name})) is expected


def test_asking_the_solvers_loads_nothing_heavy():
    program = (
        "import sys; from linreg_dist.jobspec import load_spec; from linreg_dist.solvers import SOLVERS\n"
        "spec = load_spec({'data': {'path': 'd', 'target': 'y'}})\n"
        "SOLVERS[spec.solver.name].choose(spec)\n"
        "print([name for name in ('torch', 'ray', 'numpy', 'pyarrow', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
