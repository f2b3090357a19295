"""`Solver`: one way to find a model; `SOLVERS`: all of them, by name; `Choice`: the one that runs, and why.

This module and the classes in it load neither torch nor numpy, because the job spec asks solvers what they
refuse. What does the work is imported where `Solver.fit` is called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from linreg_dist.jobspec.checks import Conflict
from linreg_dist.solvers.modules import refuse_beside_module

if TYPE_CHECKING:
    import numpy as np

    from linreg_dist.data.design.columns import Columns
    from linreg_dist.jobspec import JobSpec
    from linreg_dist.training.fit import Fit
    from linreg_dist.training.job import TrainJob
    from linreg_dist.training.training import Training
    from linreg_dist.training.worker import Worker

IN_THE_SPEC = "chosen in the spec"
"""The reason for a solver that the spec names."""


class Solver(ABC):
    """One way to find a model. An object of it is added to `SOLVERS`, and nothing else knows its name.

    A solver has no state of its own: workers get a copy of it with their job.

    Attributes:
        name: what ``solver.name`` says.
        is_iterative: whether it brings a loss down epoch by epoch, up to ``solver.epochs``.
        shuffles: whether ``solver.shuffle`` matters, so that the rows of a block are shuffled.
        standardizes: whether ``standardize: auto`` is on without a penalty too.
        has_statistics: whether it leaves sufficient statistics, from which standard errors, cross-validation
            and updates come.
        has_momentum: whether ``solver.momentum`` means something to it.
        trains_modules: whether it trains a module of the user's, ``model.module``.

    """

    name: ClassVar[str]
    is_iterative: ClassVar[bool] = True
    shuffles: ClassVar[bool] = False
    standardizes: ClassVar[bool] = True
    has_statistics: ClassVar[bool] = False
    has_momentum: ClassVar[bool] = False
    trains_modules: ClassVar[bool] = False

    @abstractmethod
    def fit(self, training: Training) -> Fit:
        """Find the model; called on every worker, and every worker returns the same.

        Raises:
            LinregDistError: on every worker alike: it cannot be found.

        """

    def refuses(self, spec: JobSpec) -> Iterator[Conflict]:
        """Yield what this solver cannot do of what a spec asks for, each at the field to point at."""
        if spec.solver.momentum > 0 and not self.has_momentum:
            able = " or ".join(each.name for each in SOLVERS.values() if each.has_momentum)
            yield Conflict(
                ("solver", "momentum"),
                f"momentum has no meaning for solver {self.name}; set solver.name to {able}, or remove it",
                (("solver", "momentum"), ("solver", "name")),
            )
        if spec.model.module is not None:
            yield from refuse_beside_module(spec, self)
            return
        if spec.model.covariance != "nonrobust":
            yield from self._refuses_covariance(spec)
        if spec.tune is not None and not self.has_statistics:
            yield Conflict(
                ("tune",),
                f"tune works from the exact solver's statistics, and solver.name is {self.name}; use auto or "
                "exact",
                (("tune",), ("solver", "name")),
            )

    def _refuses_covariance(self, spec: JobSpec) -> Iterator[Conflict]:
        at = ("model", "covariance")
        if not self.has_statistics:
            yield Conflict(
                at,
                f"standard errors exist for the exact solver only, and solver.name is {self.name}; use "
                "solver.name: exact, or remove it",
                (at, ("solver", "name")),
            )
        elif spec.model.loss != "squared":
            yield Conflict(
                at,
                f"standard errors exist for squared loss only, and model.loss is {spec.model.loss}; remove "
                "one",
                (at, ("model", "loss")),
            )

    def choose(self, spec: JobSpec, *, is_update: bool = False) -> Choice:
        """Return the solver that runs where the spec names this one: itself, but for ``auto``.

        Args:
            spec: the job.
            is_update: whether rows are added to earlier statistics.

        """
        return Choice(self, IN_THE_SPEC)

    def standardize(self, spec: JobSpec) -> bool:
        """Return whether features are divided by their standard deviation while fitting.

        ``standardize: auto`` is on when penalised or iterative.
        """
        model = spec.model
        if model.standardize == "auto":
            return self.standardizes or model.l1 > 0 or model.l2 > 0 or spec.tune is not None
        return model.standardize

    def block_dtype(self, job: TrainJob) -> type[np.floating[Any]]:
        """Return the type of the numbers in blocks: float32, half the memory, where no digits are lost."""
        import numpy as np

        return np.float32

    def reads_again(self, job: TrainJob) -> bool:
        """Return whether rows are read more than once, so that decoded blocks are worth keeping."""
        return True

    def most_lanes(self, spec: JobSpec, columns: Columns) -> int | None:
        """Return how many lanes may each hold what this solver sums in a lane; None for any number."""
        return None

    def require_room(self, job: TrainJob, worker: Worker, num_columns: int) -> None:
        """Refuse a job whose sums this worker's memory cannot hold; ``num_columns`` are encoded.

        Raises:
            LimitError: says how much it needs, and the limit that leaves less.

        """
        return

    def passes(self, spec: JobSpec) -> Iterator[tuple[str, float]]:
        """Yield the phases of a fit in order, each with how many first passes over the data it may take.

        They weigh the display of progress; what is wrong with them is corrected as the job runs.
        """
        yield "read", 1.0
        yield "train", 0.3 * spec.solver.epochs
        yield "metrics", 0.3

    def load(self, job: TrainJob) -> None:
        """Import what takes long to import and a fit will want; called before a worker's clock starts."""
        return


@dataclass(frozen=True)
class Fallback:
    """The solver for more columns than the chosen one is good for.

    Attributes:
        solver: which.
        above_columns: it takes over above this number of encoded columns.
        reason: why.

    """

    solver: Solver
    above_columns: int
    reason: str


@dataclass(frozen=True)
class Choice:
    """The solver of a job and why it was chosen: decided once, and recorded in the result.

    Attributes:
        solver, reason: which, and why.
        fallback: what takes over once the columns are counted; None once they are, or where nothing does.
        instead_of: the choice that a fallback took over from.

    """

    solver: Solver
    reason: str
    fallback: Fallback | None = None
    instead_of: Choice | None = None

    def settled(self, num_columns: int) -> Choice:
        """Return what is left of the choice now that the encoded columns are counted."""
        if self.fallback is None:
            return self
        chosen = Choice(self.solver, self.reason)
        if num_columns <= self.fallback.above_columns:
            return chosen
        return Choice(self.fallback.solver, self.fallback.reason, instead_of=chosen)


class Solvers(Mapping[str, Solver]):
    """All solvers by name, in the order in which messages list them."""

    def __init__(self) -> None:
        self._by_name: dict[str, Solver] = {}

    def add(self, solver: Solver) -> Solver:
        """Let specs name this solver, on every machine where this is called, and return it.

        Raises:
            ValueError: another class has this name.

        """
        present = self._by_name.setdefault(solver.name, solver)
        if type(present) is not type(solver):
            raise ValueError(f"there is a solver {solver.name!r} already: {type(present).__qualname__}")
        return present

    def remove(self, name: str) -> None:
        """Let specs no longer name this solver.

        Raises:
            KeyError: there is none.

        """
        del self._by_name[name]

    def is_iterative(self, name: str | None) -> bool:
        """Return whether the solver that a result names, perhaps of another version, is iterative."""
        solver = self._by_name.get(name or "")
        return solver is None or solver.is_iterative

    def __getitem__(self, name: str) -> Solver:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


SOLVERS = Solvers()
"""Every solver by name; importing `linreg_dist.solvers` adds those of this package."""
