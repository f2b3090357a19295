"""What is wrong with a job spec, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from linreg_dist.errors import SpecError
from linreg_dist.spec.yaml_reader import Mark, Path


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
    """Return one error that lists every problem, a line each, in the order of the text."""
    ordered = sorted(
        set(problems), key=lambda item: (item.origin.rank, item.position, item.path, item.message)
    )
    return SpecError("\n".join(map(str, ordered)))
