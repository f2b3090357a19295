"""Problems of a job spec, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from linreg_dist.errors import SpecError
from linreg_dist.jobspec.reading.yaml_reader import Mark, Path

MOST_SHOWN = 50
"""Most problems that one message lists; the rest is counted."""


@dataclass(frozen=True)
class Origin:
    """Where a value was written."""

    file: str
    """The file as the user named it, ``<dict>`` or ``--set``."""
    rank: int
    """Order of the sources in a list of problems."""
    folder: str
    """What a relative path in this value is relative to."""
    mark: Mark | None = None
    """Position in the file; None where there is no text to point at."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong; its text is ``file:line:column: message @ path``."""

    origin: Origin
    message: str
    path: Path = ()
    at_key: bool = False
    """Whether to point at the key rather than at the value."""

    @property
    def position(self) -> tuple[int, int]:
        """Line and column, counted from 1; zeros where there is no text to point at."""
        mark = self.origin.mark
        if mark is None:
            return (0, 0)
        return (mark.key_line, mark.key_column) if self.at_key else (mark.line, mark.column)

    def __str__(self) -> str:
        line, column = self.position
        place = f"{self.origin.file}:{line}:{column}" if line else self.origin.file
        text = f"{place}: {self.message}" + (f" @ {show_path(self.path)}" if self.path else "")
        # One problem is one line, whatever a user's text has in it.
        return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def show_path(path: Iterable[Any]) -> str:
    """Return ``data.features[0]`` for ``("data", "features", 0)``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def spec_error(problems: Iterable[Problem]) -> SpecError:
    """Return one error that lists the problems, a line each, in the order of the text.

    The first `MOST_SHOWN` are shown and the others counted.
    """
    ordered = sorted(set(problems), key=in_order)
    return SpecError("\n".join(shown_lines([str(problem) for problem in ordered[:MOST_SHOWN]], len(ordered))))


def in_order(problem: Problem) -> tuple[Any, ...]:
    """Return what problems are sorted by: where they stand in the text."""
    steps = tuple((isinstance(step, str), step) for step in problem.path)  # a number never meets a text
    return (problem.origin.rank, problem.position, steps, problem.message)


def shown_lines(lines: Sequence[str], count: int | None = None) -> list[str]:
    """Return the first `MOST_SHOWN` of ``lines``, and one that says how many of ``count`` are left out."""
    total = len(lines) if count is None else count
    shown = list(lines[:MOST_SHOWN])
    return [*shown, f"and {total - len(shown):,} more problems"] if total > len(shown) else shown


class PathSet:
    """Places in a document, of which it is known at once whether one is in or around another."""

    def __init__(self, paths: Iterable[Path] = ()) -> None:
        self._paths: set[Path] = set()
        self._around: set[Path] = set()
        for path in paths:
            self.add(path)

    def __bool__(self) -> bool:
        return bool(self._paths)

    def add(self, path: Path) -> None:
        """Add a place."""
        self._paths.add(path)
        self._around.update(path[:length] for length in range(len(path)))

    def holds(self, path: Path) -> bool:
        """Return whether ``path`` is one of these places, or in one."""
        return any(path[:length] in self._paths for length in range(len(path) + 1))

    def is_around(self, path: Path) -> bool:
        """Return whether one of these places is in ``path``, and is not ``path`` itself."""
        return path in self._around

    def touches(self, path: Path) -> bool:
        """Return whether ``path`` is one of these places, in one, or around one."""
        return self.holds(path) or self.is_around(path)
