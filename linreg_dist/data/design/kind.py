"""A kind of column: one class that knows all there is to know of turning its values into features.

An object of a kind stands for one column of the data. It is made from the spec, before any row is read; the
first pass over the rows finds what it `needs`, and `settle` gives the column as the model keeps it. What
training did to a column is done again, exactly, at scoring.

Shape suffixes: N rows, L columns of the design matrix that one column of the data becomes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist.data.design.portable import PortableForm
from linreg_dist.data.gather import Rows
from linreg_dist.jobspec import DataSpec

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]


class Found(Protocol):
    """What the first pass found out about a column in some rows; parts of disjoint rows merge."""

    def merge(self, other: Any, /) -> None:
        """Add another part's rows to these."""


class ColumnKind(ABC):
    """A column of the data that is a feature of one kind.

    A subclass is a frozen dataclass whose first field is ``name``. Its values, as `decode` returns them, are
    whatever suits it: nobody else looks into them.

    Attributes:
        kind: the word for it in a model's config.json; never changed once models have it.
        expects: what types it takes, for messages: "a number".
        dictionary: whether it wants its column read as dictionary-encoded, where each value is looked up
            once.
        shifted: whether a mean that is large against its spread is subtracted before values are rounded
            to float32. Not for 0/1 columns.
        from_numbers: whether a plain number stands for the column's value, so that an array without names can
            be scored.

    """

    kind: ClassVar[str]
    expects: ClassVar[str]
    dictionary: ClassVar[bool] = False
    shifted: ClassVar[bool] = False
    from_numbers: ClassVar[bool] = False

    name: str

    # From the spec and the schema, before a row is read.

    @classmethod
    @abstractmethod
    def claims(cls, name: str, type_: pa.DataType, data: DataSpec) -> bool:
        """Return whether a feature of this name and type is of this kind, where no earlier kind claims it."""

    @classmethod
    def hint(cls, type_: pa.DataType) -> str | None:
        """Return what to do for a column of this type, which is of this kind only when it is named, to be so;
        None where nothing helps.
        """
        return None

    @classmethod
    @abstractmethod
    def draft(cls, name: str, type_: pa.DataType, data: DataSpec) -> Self:
        """Return the column as the spec describes it."""

    @abstractmethod
    def takes(self, type_: pa.DataType) -> bool:
        """Return whether values of this type can be decoded; files may differ in it."""

    def family(self, type_: pa.DataType) -> str:
        """Return a word for values that may not be mixed with those of another word in other files."""
        return "values"

    @property
    def known_width(self) -> int:
        """How many columns it becomes, as far as that is known before the first pass."""
        return len(self.encoded_names)

    @property
    def text_levels(self) -> bool:
        """Whether its values are known to be text, so that hive keys are read as text too."""
        return False

    @property
    def is_as_decoded(self) -> bool:
        """Whether its one encoded column is the decoded values, which can then stay where they are."""
        return False

    @property
    def null_type(self) -> pa.DataType:
        """A type of values that it takes, for rows of which it is only known that they have none."""
        return pa.float64()

    def fits_float32(self, type_: pa.DataType) -> bool:
        """Return whether float32 holds all digits of its columns where the values have this type."""
        return False

    # From the rows.

    @abstractmethod
    def decode(self, column: pa.ChunkedArray) -> Any:
        """Return the values of a whole row group in the form that the other methods take.

        Raises:
            ValueError, TypeError, pa.ArrowException: they have another type.

        """

    @abstractmethod
    def missing(self, values: Any) -> Mask | None:
        """Return which of the N rows have no usable value (null, NaN or ±inf); None where all have one."""

    def needs(self, data: DataSpec) -> bool:
        """Return whether rows have to be read before the column can be settled."""
        return False

    def find(
        self, values: Any, train: npt.NDArray[np.int64], validation: npt.NDArray[np.int64], where: str
    ) -> Found:
        """Return what some rows say of it; only called where it `needs` them.

        Args:
            values: of a row group.
            train, validation: numbers of its rows that are used; the others do not count.
            where: names the row group in messages.

        Raises:
            DataError: a value among these rows that the column cannot take.

        """
        raise NotImplementedError(f"{type(self).__name__} needs rows and does not say what for")

    def settle(self, found: Any, data: DataSpec) -> Self:
        """Return the column as the model keeps it.

        Args:
            found: what `find` returned, merged over all rows; None where no row was read for it.
            data: the spec.

        Raises:
            DataError: it cannot be a feature with what was found.

        """
        return self

    # The settled column.

    @property
    @abstractmethod
    def encoded_names(self) -> tuple[str, ...]:
        """The L names in the coefficient table."""

    @property
    def base(self) -> str | None:
        """What its 0/1 columns are compared with, or None where they are no 0/1 columns."""
        return None

    @abstractmethod
    def write(
        self, values: Any, rows: Rows, out_LN: Array, shift_L: npt.NDArray[np.float64] | None, where: str
    ) -> None:
        """Write the chosen rows into the L columns of the design matrix.

        Args:
            values: of the whole row group, as `decode` returns them.
            rows: row numbers to take, in this order, or a slice.
            out_LN: (L, N) C-contiguous, float32 or float64.
            shift_L: subtracted before rounding to the type of ``out_LN``; None subtracts nothing.
            where: names the row group in messages.

        Raises:
            DataError: a value among these rows that the column cannot take.

        """

    def portable(self) -> PortableForm | None:
        """Return the settled column in a form that other programs can compute; None where there is none, and
        models with such a column cannot be exported.
        """
        return None

    # Rows that belong together, for what is said of each group.

    @property
    def group_names(self) -> tuple[str, ...]:
        """The names of the groups that rows fall into by this column; none where it does not group them."""
        return ()

    def groups(self, values: Any, rows: Rows) -> npt.NDArray[np.intp]:
        """Return the number of each chosen row's group, (N,), in `group_names`."""
        raise NotImplementedError(
            f"{type(self).__name__} has names of groups and does not say whose they are"
        )

    # Two parts of the data that were encoded apart.

    def united(self, other: ColumnKind) -> Self:
        """Return the column as it would be with the data of both.

        Raises:
            ValueError: there is none; says why.

        """
        if self.to_json() != other.to_json():
            raise ValueError("it was encoded in different ways, which cannot be undone")
        return self

    def lacks(self, other: ColumnKind) -> str | None:
        """Return what ``other`` has and this one has not, ``level 'HA'`` for instance; None for nothing."""
        return None

    def moved(self, target: ColumnKind) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return A and b of ``x' = A·x + b``: the columns of ``target``, which is `united` with others, from
        the columns of this one.
        """
        return np.eye(len(self.encoded_names)), np.zeros(len(self.encoded_names))

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the form stored in a model's config.json, with ``name`` and ``kind``."""

    @classmethod
    def check_json(cls, document: Mapping[str, Any]) -> None:
        """Check a document of this kind from a file that anyone may have written, before `from_json`.

        Raises:
            ValueError: names the column and what is wrong with it.

        """
        return

    @classmethod
    @abstractmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild a column from `to_json`."""
