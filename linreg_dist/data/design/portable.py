"""The forms of a column that other programs can compute: numbers with fills, and levels.

An export writes a model for a program that knows nothing of kinds of columns. So a kind says what its
columns are in these two forms, and an export need know no kind.

Shape suffix: L columns of the design matrix that one column of the data becomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Numbers:
    """A number, or a list of them, each a column of the design matrix as it is.

    Attributes:
        length: of the lists; None for a plain number.
        fill_L: what replaces a missing value at each place; None where nothing does.

    """

    length: int | None
    fill_L: tuple[float, ...] | None


@dataclass(frozen=True)
class Levels:
    """A value that is looked up: level i + 1 sets the design matrix's column i to 1, all others to 0.

    Attributes:
        levels: the first one sets no column.
        unseen_is_error: whether a value that is no level is refused; else it sets no column.
        fill_L: the columns of a missing value; None where it has none.

    """

    levels: tuple[Any, ...]
    unseen_is_error: bool
    fill_L: tuple[float, ...] | None


PortableForm = Numbers | Levels
