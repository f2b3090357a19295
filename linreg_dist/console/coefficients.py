"""The table that says what a model learned: coefficients, their inference, the quality of the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from linreg_dist.documents import TargetDescription
from linreg_dist.wording.numbers import align_decimals
from linreg_dist.wording.results import (
    COEFFICIENT_COLUMNS,
    INTERVAL,
    fit_facts,
    inference_notes,
    intercept_row,
    shown_document,
)

_GAP = 2  # blank characters between two columns: the padding and the box's own divider
_MIN_FEATURE_WIDTH = 12  # what a feature's name keeps when the terminal is narrow


def coefficient_table(document: TargetDescription) -> RenderableType:
    """Return the coefficients and fit statistics of one target.

    The intercept comes first, then the coefficients in the order given. A column of inference appears when
    any row has it; where none has, a note gives the ``inference_reason``.
    """
    return _CoefficientTable(shown_document(document))


@dataclass(frozen=True)
class _CoefficientTable:
    """The table, laid out when the width is known: a narrow terminal shortens names, never numbers."""

    document: TargetDescription

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [intercept_row(self.document), *self.document.coefficients]
        shown = [
            key
            for key in COEFFICIENT_COLUMNS
            if key == "coef" or any(getattr(row, key) is not None for row in rows)
        ]
        cells = {
            key: align_decimals([COEFFICIENT_COLUMNS[key][1](getattr(row, key)) for row in rows])
            for key in shown
        }
        features = [row.feature for row in rows]
        needed = _min_width(features, cells)
        too_narrow = options.max_width < needed and bool(set(INTERVAL) & set(shown))
        if too_narrow:
            cells = {key: column for key, column in cells.items() if key not in INTERVAL}

        yield _table(features, cells)
        facts = fit_facts(self.document.fit)
        if facts:
            yield Text("")
            yield _two_columns(facts)
        if note := self._note(shown, needed if too_narrow else None):
            yield Text("")
            yield Text(note)

    def _note(self, shown: Sequence[str], needed: int | None) -> str | None:
        notes = inference_notes(self.document, has_tests=list(shown) != ["coef"])
        if needed is not None:
            notes.append(
                f"The confidence intervals need a terminal {needed} characters wide; --json prints them too."
            )
        return "\n".join(notes) or None


def _min_width(features: Sequence[str], cells: Mapping[str, Sequence[str]]) -> int:
    """Return the characters per line below which a number would be cut."""
    names = min(max(map(len, features)), _MIN_FEATURE_WIDTH)
    numbers = (max(len(COEFFICIENT_COLUMNS[key][0]), *map(len, column)) for key, column in cells.items())
    return names + sum(_GAP + width for width in numbers)


def _table(features: Sequence[str], cells: Mapping[str, Sequence[str]]) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold"
    )
    # rich shrinks columns that may wrap before those that may not, so only the names give way; the names' own
    # no_wrap then shortens them instead of breaking them over lines.
    table.add_column("feature", min_width=8)
    for key in cells:
        table.add_column(COEFFICIENT_COLUMNS[key][0].rjust(len(cells[key][0])), no_wrap=True)
    for feature, *numbers in zip(features, *cells.values(), strict=True):
        table.add_row(Text(feature, no_wrap=True, overflow="ellipsis"), *numbers)
    return table


def _two_columns(facts: Sequence[tuple[str, str]]) -> Table:
    """Return the facts in two columns side by side, reading down the first and then the second."""
    height = (len(facts) + 1) // 2
    table = Table.grid(padding=(0, 3, 0, 0))
    for side in (facts[:height], facts[height:]):
        table.add_column(style="dim", no_wrap=True)
        table.add_column(
            no_wrap=True, justify="right", min_width=max((len(text) for _, text in side), default=0)
        )
    for i in range(height):
        table.add_row(*facts[i], *(facts[i + height] if i + height < len(facts) else ()))
    return table
