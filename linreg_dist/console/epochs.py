"""The table of a run's epochs, which stays on the screen after the run."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from linreg_dist.documents import EpochLine
from linreg_dist.wording.numbers import NO_VALUE, format_duration, format_number, format_rate

_FIRST, _LAST = 4, 8  # epochs that are shown of a longer table


def epoch_table(lines: Sequence[EpochLine]) -> Table:
    """Return a table of finished epochs with seconds, speed and errors; of many the first and the last."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for title in ("epoch", "took", "speed", "train MSE"):
        table.add_column(title, justify="right", no_wrap=True)
    has_validation = any(line.validation_mse is not None for line in lines)
    if has_validation:
        table.add_column("validation MSE", justify="right", no_wrap=True)
    objectives = [
        (key, title)
        for key, title in (("loss", "objective"), ("validation_loss", "of validation"))
        if any(getattr(line, key) is not None for line in lines)
    ]
    for _, title in objectives:
        table.add_column(title, justify="right", no_wrap=True)
    shortened = len(lines) > _FIRST + _LAST
    shown = [*lines[:_FIRST], *lines[-_LAST:]] if shortened else lines
    for position, line in enumerate(shown):
        if shortened and position == _FIRST:
            table.add_row("...")
        cells = [
            str(line.epoch + 1),
            NO_VALUE if line.seconds is None else format_duration(line.seconds),
            NO_VALUE if line.rows_per_s is None else format_rate(line.rows_per_s),
            _number(line.train_mse),
        ]
        if has_validation:
            cells.append(_number(line.validation_mse))
        table.add_row(*cells, *(_number(getattr(line, key)) for key, _ in objectives))
    return table


def _number(value: float | None) -> str:
    return NO_VALUE if value is None else format_number(value)
