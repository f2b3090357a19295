"""The material of a page: the result, the model, and the epochs on the way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from linreg_dist.documents import (
    Diagnostics,
    EpochLine,
    ModelDescription,
    ResultDocument,
    RowsDocument,
    SolverDocument,
    SplitMetrics,
    TargetDescription,
    Timing,
)
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.solvers import SOLVERS
from linreg_dist.wording.events import parse_event

_OPTIONS_OF_URI = re.compile(r"(\w+://[^\s?'\",\]]+)\?[^\s'\",\]]*")
_MOST_CHARACTERS = 80


@dataclass(frozen=True)
class Source:
    """A run that has succeeded.

    Attributes:
        result: what result.json says, before it names the page.
        description: of the model, what `show` prints.
        model: the fitted model.
        epochs: the epoch lines of metrics.jsonl; may be empty for the exact solver.
        folder: where the run lies.
        spec_yaml: the job as it ran.
        diagnostics: what a pass over its rows says of the fit; None where there was none.

    """

    result: ResultDocument
    description: ModelDescription
    model: LinearModel
    epochs: Sequence[EpochLine]
    folder: str
    spec_yaml: str
    diagnostics: Diagnostics | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.model.targets

    @property
    def is_iterative(self) -> bool:
        """Whether the loss was brought down epoch by epoch."""
        return SOLVERS.is_iterative(self.solver.name)

    @property
    def documents(self) -> Sequence[TargetDescription]:
        """The description of each target."""
        return self.description.each_target

    @property
    def solver(self) -> SolverDocument:
        """The solver that ran."""
        return self.result.solver or SolverDocument()

    @property
    def rows(self) -> RowsDocument:
        """What became of the rows."""
        return self.result.rows or RowsDocument(train=0, validation=0)

    @property
    def metrics(self) -> SplitMetrics:
        """The metrics of both splits."""
        return self.result.metrics or SplitMetrics()

    @property
    def timing(self) -> Timing:
        """Where the time went."""
        return self.result.timing or Timing()


def epoch_lines(metrics_jsonl: str) -> list[EpochLine]:
    """Return the epoch lines of metrics.jsonl in order; a line that is none, as a full disk leaves one, is
    left out.
    """
    epochs: dict[int, EpochLine] = {}
    for line in metrics_jsonl.splitlines():
        event = parse_event(line)
        if isinstance(event, EpochLine):
            epochs[event.epoch] = event
    return [epochs[epoch] for epoch in sorted(epochs)]


def without_options(text: str) -> str:
    """Return a text whose URIs have lost their options, which name hosts: the page is shown to others."""
    return _OPTIONS_OF_URI.sub(r"\1", text)


def shorten(name: str, most: int = _MOST_CHARACTERS) -> str:
    """Return a name of the data on one line of at most so many characters."""
    plain = "".join(c if c.isprintable() else " " for c in name)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def some(names: Sequence[str], most: int = 12) -> str:
    """Return the first of many names, and how many more there are."""
    text = ", ".join(shorten(name) for name in names[:most])
    return f"{text} and {len(names) - most:,} more" if len(names) > most else text
