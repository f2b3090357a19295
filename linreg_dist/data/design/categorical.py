"""Columns of levels: one 0/1 column for each level but the first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist.data.design.documents import check_numbers
from linreg_dist.data.design.kind import Array, ColumnKind, Mask
from linreg_dist.data.design.portable import Levels
from linreg_dist.data.design.types import is_string, is_text
from linreg_dist.data.gather import Rows, gather
from linreg_dist.data.reader import category_codes
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec

_UNSEEN = -2
_MISSING = -1

Codes = tuple[npt.NDArray[np.int64], list[Any]]  # levels[codes[i]] is row i's value, code -1 is missing


@dataclass
class LevelCounts:
    """How many training rows have each level; 0 for a level that only validates."""

    counts: Counter[Any] = field(default_factory=Counter)

    def merge(self, other: LevelCounts) -> None:
        """Add another part's rows to these."""
        for level, number in other.counts.items():
            self.counts[level] += number


@dataclass(frozen=True)
class CategoricalColumn(ColumnKind):
    """A column of levels, one 0/1 column for each level but the first, which is the base.

    Attributes:
        levels: the values, base first; empty until the first pass has found them.
        unseen: what a value outside ``levels`` does: an error, or all zeros (it then scores as the base).
        fill: the value of each 0/1 column for a missing value (its training mean), or None where none is
            allowed.

    """

    kind: ClassVar[str] = "categorical"
    expects: ClassVar[str] = "strings, integers or booleans to take levels from"
    dictionary: ClassVar[bool] = True

    name: str
    levels: tuple[Any, ...] = ()
    unseen: Literal["error", "zero"] = "error"
    fill: tuple[float, ...] | None = None

    @classmethod
    def claims(cls, name: str, type_: pa.DataType, data: DataSpec) -> bool:
        """Return whether the spec names it as a category, or its values are text."""
        return name in data.categorical or is_string(type_)

    @classmethod
    def hint(cls, type_: pa.DataType) -> str | None:
        """Return how text without a UTF-8 mark becomes a category."""
        return "text without a UTF-8 mark can be named under data.categorical" if is_text(type_) else None

    @classmethod
    def draft(cls, name: str, type_: pa.DataType, data: DataSpec) -> Self:
        """Return the column with the levels that the spec lists, if it lists any."""
        given = data.categorical.get(name)
        return cls(name, tuple(given) if isinstance(given, (list, tuple)) else (), data.unseen)

    def takes(self, type_: pa.DataType) -> bool:
        """Return whether the type is text, a whole number or a boolean."""
        if pa.types.is_dictionary(type_):
            type_ = type_.value_type
        return is_text(type_) or bool(pa.types.is_integer(type_) or pa.types.is_boolean(type_))

    def family(self, type_: pa.DataType) -> str:
        """Return whether levels are strings or numbers, which are never equal."""
        return "strings" if is_text(type_) else "numbers"

    @property
    def known_width(self) -> int:
        """The number of levels, as far as they are known; the base is counted."""
        return len(self.levels)

    @property
    def null_type(self) -> pa.DataType:
        """Text."""
        return pa.string()

    @property
    def text_levels(self) -> bool:
        """Whether its levels are text, as hive keys then are."""
        return any(isinstance(level, str) for level in self.levels)

    def fits_float32(self, type_: pa.DataType) -> bool:
        """Return True: 0 and 1 are float32 numbers."""
        return True

    def decode(self, column: pa.ChunkedArray) -> Codes:
        """Return ``(codes, levels)``: ``levels[codes[i]]`` is row i's value, code -1 is missing.

        Text without a UTF-8 mark is read as UTF-8; bytes that are none appear escaped.
        """
        codes, levels = category_codes(column)
        if any(isinstance(level, bytes) for level in levels):
            levels = [level.decode("utf-8", "backslashreplace") for level in levels]
        return codes, levels

    def missing(self, values: Codes) -> Mask | None:
        """Return which rows have no level."""
        codes = values[0]
        return codes < 0 if codes.size and codes.min() < 0 else None

    def needs(self, data: DataSpec) -> bool:
        """Return whether levels, or their frequencies as fills, are yet to be found."""
        return not self.levels or (data.missing == "mean" and self.fill is None)

    def find(
        self, values: Codes, train: npt.NDArray[np.int64], validation: npt.NDArray[np.int64], where: str
    ) -> LevelCounts:
        """Count the training rows of each level, and note levels that only validate."""
        codes, levels = values
        found = LevelCounts()
        for rows, weight in ((train, 1), (validation, 0)):
            used = codes[rows]
            for code, number in enumerate(np.bincount(used[used >= 0], minlength=len(levels))):
                if number:
                    found.counts[levels[code]] += int(number) * weight
        return found

    def settle(self, found: LevelCounts | None, data: DataSpec) -> Self:
        """Return the column with its levels, sorted if the spec lists none, and their frequencies as fills.

        Raises:
            DataError: there are more levels than ``data.max_levels``.

        """
        counts: Mapping[Any, int] = {} if found is None else found.counts
        levels = self.levels or tuple(sorted(counts))
        if len(levels) > data.max_levels:
            raise DataError(
                f"column {self.name!r} has {len(levels):,} levels, more than data.max_levels "
                f"{data.max_levels:,}: an identifier? Put it into data.exclude, list the levels that matter "
                f"in data.categorical.{self.name}, or raise data.max_levels"
            )
        fill = None
        if data.missing == "mean":
            total = max(sum(counts.values()), 1)
            fill = tuple(counts.get(level, 0) / total for level in levels[1:])
        return replace(self, levels=levels, fill=fill)

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """``column=level`` for each level but the base, as scikit-learn's DictVectorizer spells it."""
        return tuple(f"{self.name}={level}" for level in self.levels[1:])

    @property
    def base(self) -> str | None:
        """The first level."""
        return str(self.levels[0]) if self.levels else None

    def write(
        self, values: Codes, rows: Rows, out_LN: Array, shift_L: npt.NDArray[np.float64] | None, where: str
    ) -> None:
        """Write 1 where a row has the column's level, 0 elsewhere; see `ColumnKind.write`.

        Raises:
            DataError: a level that is not among the column's levels, where ``unseen`` is "error".

        """
        codes_N, places = self._places(values, rows)
        if self.unseen == "error" and places.size and (places == _UNSEEN).any():
            self._refuse_unseen(codes_N[places == _UNSEEN], values[1], where)
        for offset in range(len(self.levels) - 1):
            np.equal(places, offset + 1, out=out_LN[offset], casting="unsafe")
        if self.fill is not None:
            missing = places == _MISSING
            if missing.any():
                out_LN[:, missing] = np.asarray(self.fill)[:, None]
        if shift_L is not None and shift_L.any():
            out_LN -= shift_L[:, None]

    def _places(self, values: Codes, rows: Rows) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the codes of the chosen rows, and the places of their levels, or _UNSEEN or _MISSING."""
        codes, levels = values
        codes_N = gather(codes, rows)
        position = {level: index for index, level in enumerate(self.levels)}
        # One slot more than levels: code -1 (missing) indexes the last one.
        mapped = np.array([position.get(level, _UNSEEN) for level in levels] + [_MISSING], dtype=np.int64)
        return codes_N, mapped[codes_N]

    @property
    def group_names(self) -> tuple[str, ...]:
        """The levels, and names for values that are none of them and for missing ones."""
        return (*map(str, self.levels), "(any other)", "(missing)")

    def groups(self, values: Codes, rows: Rows) -> npt.NDArray[np.intp]:
        """Return the place of each chosen row's level; see `ColumnKind.groups`."""
        places = self._places(values, rows)[1].astype(np.intp)
        count = len(self.levels)
        places[places == _UNSEEN] = count
        places[places == _MISSING] = count + 1
        return places

    def _refuse_unseen(self, codes: npt.NDArray[np.int64], levels: list[Any], where: str) -> None:
        strange = [levels[code] for code in np.unique(codes)]
        listed = ", ".join(repr(level) for level in strange[:5])
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        raise DataError(
            f"{where}: column {self.name!r} has {codes.size:,} rows with {len(strange)} level(s) that "
            f"training did not see: {listed}{more}. The model has no coefficient for them: train again, "
            f"with them under data.categorical.{self.name}, or with data.unseen: zero, which takes them as "
            f"the base level {self.levels[0]!r}"
        )

    def united(self, other: ColumnKind) -> Self:
        """Return the column with the levels of both, sorted where both are; the first is the base.

        Raises:
            ValueError: values of other levels, or missing ones, were encoded by what only one of them knows.

        """
        if not isinstance(other, CategoricalColumn):
            raise ValueError("it is a column of levels in one and of numbers in the other")
        if self.unseen != other.unseen:
            raise ValueError(f"data.unseen is {self.unseen} in one and {other.unseen} in the other")
        if self.fill is not None or other.fill is not None:
            if self.to_json() != other.to_json():
                raise ValueError(
                    "missing values were replaced by the frequencies of the levels, which differ "
                    "(data.missing: mean)"
                )
            return self
        if {type(level) for level in self.levels} != {type(level) for level in other.levels}:
            raise ValueError("its levels are of one type in one and of another type in the other")
        new = [level for level in other.levels if level not in self.levels]
        levels = (*self.levels, *new)
        if all(list(each) == sorted(each) for each in (self.levels, other.levels)):
            levels = tuple(sorted(levels))
        return replace(self, levels=levels)

    def lacks(self, other: ColumnKind) -> str | None:
        """Return the levels that ``other`` has and this one has not."""
        levels = other.levels if isinstance(other, CategoricalColumn) else ()
        lacking = [repr(level) for level in levels if level not in self.levels]
        return f"level {', '.join(lacking[:5])}{', …' * (len(lacking) > 5)}" if lacking else None

    def moved(self, target: ColumnKind) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return A and b: a level of before as it was, the base of before as one less all others, a new level
        as zero.
        """
        levels = target.levels if isinstance(target, CategoricalColumn) else ()
        matrix = np.zeros((max(0, len(levels) - 1), len(self.encoded_names)))
        constant = np.zeros(len(matrix))
        place = {level: number for number, level in enumerate(self.levels)}
        for row, level in enumerate(levels[1:]):
            number = place.get(level)
            if number == 0:
                matrix[row], constant[row] = -1.0, 1.0
            elif number is not None:
                matrix[row, number - 1] = 1.0
        return matrix, constant

    def portable(self) -> Levels:
        """Return the levels, what else does, and the fill."""
        return Levels(self.levels, self.unseen == "error", self.fill)

    def to_json(self) -> dict[str, Any]:
        """Return name, kind, levels, unseen and fill."""
        return {
            "name": self.name,
            "kind": self.kind,
            "levels": list(self.levels),
            "unseen": self.unseen,
            "fill": None if self.fill is None else list(self.fill),
        }

    @classmethod
    def check_json(cls, document: Mapping[str, Any]) -> None:
        """Check levels, unseen and fill.

        Raises:
            ValueError: one has another form.

        """
        name, levels = document["name"], document.get("levels")
        if "fill" not in document:
            raise ValueError(f"column {name!r} has no fill, which may be null")
        if not isinstance(levels, list) or not all(isinstance(level, str | bool | int) for level in levels):
            raise ValueError(f"column {name!r} has levels that are no texts, whole numbers or booleans")
        if len({(type(level), level) for level in levels}) < len(levels):
            raise ValueError(f"column {name!r} has a level twice")
        if document.get("unseen") not in ("error", "zero"):
            raise ValueError(f"column {name!r} has unseen {document.get('unseen')!r}, expected error or zero")
        if document["fill"] is not None:
            check_numbers(document["fill"], max(0, len(levels) - 1), f"fill of column {name!r}")

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild a column from `to_json`."""
        fill = None if document["fill"] is None else tuple(document["fill"])
        return cls(document["name"], tuple(document["levels"]), document["unseen"], fill)
