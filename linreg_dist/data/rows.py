"""Row selection: which rows of a row group train, which validate, and which are left out and why.

Everything here depends on the file, the row's place in it and the spec alone: never on workers, threads or
order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist import limits
from linreg_dist.data.design.columns import Columns
from linreg_dist.data.design.numeric import not_finite
from linreg_dist.data.filter.predicates import Predicate, bind_all, rows_kept
from linreg_dist.data.gather import RowRuns
from linreg_dist.data.reader import numeric_values
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec
from linreg_dist.kernels.calls import split_rows
from linreg_dist.wording.text import safe_name

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DecodedColumns:
    """The columns of a row group, decoded.

    Attributes:
        num_rows: N.
        features: name -> values as its kind decodes them.
        numbers: name -> (N,) values of targets, weight and split; missing ones are NaN.

    """

    num_rows: int
    features: dict[str, Any]
    numbers: dict[str, Array]


@dataclass(frozen=True)
class RowSelection:
    """Row numbers within one row group.

    Attributes:
        train: rows that train, in the order they are used; `np.asarray` gives their numbers.
        validation: rows that validate, in file order.
        filtered: how many rows the spec's filter left out.
        weightless: how many of the rows that the filter kept were left out because their weight is 0.
        missing_rows: how many rows were left out for a missing value.
        missing: column -> how many of the rows the filter kept have no usable value in it (null, NaN or
            ±inf).
        num_bytes: of the file that were read for it.

    """

    train: npt.NDArray[np.int64] | RowRuns
    validation: npt.NDArray[np.int64]
    filtered: int
    missing_rows: int
    missing: dict[str, int]
    num_bytes: int = 0
    weightless: int = 0


def decode_columns(table: pa.Table, columns: Columns) -> DecodedColumns:
    """Decode the features, targets, weight and split column of ``table``."""
    return DecodedColumns(
        num_rows=table.num_rows,
        features={column.name: column.decode(table.column(column.name)) for column in columns.kinds},
        numbers={name: numeric_values(table.column(name)) for name in columns.numbers},
    )


class RowSelector:
    """Applies filter, missing-value rule, split and shuffle to one row group at a time.

    The split hashes (seed, file key, row number in the file), so a row keeps its side when files are added,
    when the data set moves, and for any number of workers. The shuffle is one seeded permutation of each row
    group's training rows: what comes after, the order of row groups and where each begins, changes with every
    epoch (see `plan`).
    """

    def __init__(
        self, manifest: Manifest, columns: Columns, data: DataSpec, *, shuffle: bool, seed: int
    ) -> None:
        self._manifest = manifest
        self._columns = columns
        self._data = data
        self._shuffle = shuffle
        self._seed = seed
        self._filters: dict[tuple[pa.DataType, ...], list[list[Predicate]]] = {}

    def select(self, table: pa.Table, decoded: DecodedColumns, group: RowGroup) -> RowSelection:
        """Split the rows of ``table`` (the whole of ``group``) into training, validation and left-out
        rows.
        """
        kept = self._filter(table, group)
        filtered = 0 if kept is None else int(decoded.num_rows - np.count_nonzero(kept))
        kept, weightless = self._weighing(decoded, kept)
        missing = {
            name: mask if kept is None else mask & kept
            for name, mask in _missing_masks(table, decoded, self._columns).items()
        }
        counts = {name: int(np.count_nonzero(mask)) for name, mask in missing.items()}
        if self._data.missing == "mean":  # features are imputed; a target or weight never is
            columns = self._columns
            needed = (*columns.targets, columns.weight, columns.cluster)
            dropping = [mask for name, mask in missing.items() if name in needed]
        else:
            dropping = list(missing.values())
        usable = kept
        missing_rows = 0
        if dropping:
            bad = np.logical_or.reduce(dropping)
            missing_rows = int(np.count_nonzero(bad))
            usable = ~bad if kept is None else kept & ~bad
        marks = None if self._columns.split is None else decoded.numbers[self._columns.split]
        train, validation = self._split(group, usable, marks)
        return RowSelection(
            train=train,
            validation=validation,
            filtered=filtered,
            weightless=weightless,
            missing_rows=missing_rows,
            missing={name: count for name, count in counts.items() if count},
        )

    def _weighing(
        self, decoded: DecodedColumns, kept: npt.NDArray[np.bool_] | None
    ) -> tuple[npt.NDArray[np.bool_] | None, int]:
        """Return which rows the filter kept and whose weight is not 0, and how many have no weight."""
        weights = None if self._columns.weight is None else decoded.numbers[self._columns.weight]
        if weights is None or weights.all():
            return kept, 0
        without = weights == 0 if kept is None else kept & (weights == 0)
        return ~without if kept is None else kept & ~without, int(np.count_nonzero(without))

    def ruled_out(self, group: RowGroup) -> RowSelection | None:
        """Return what `select` would, if the filter is known to leave out all of ``group``; else None."""
        if group.index not in self._manifest.ruled_out:
            return None
        none = np.empty(0, dtype=np.int64)
        return RowSelection(none, none, filtered=group.num_rows, missing_rows=0, missing={})

    @property
    def needs_values(self) -> bool:
        """Return whether a filter or a split column decides, so that no row can be chosen unseen."""
        return bool(self._data.filter) or self._columns.split is not None

    def select_complete(self, group: RowGroup, *, native: bool = False) -> RowSelection:
        """Return what `select` would if no value of ``group`` is missing, without looking at any.

        Only where not `needs_values`. ``native`` splits by the compiled kernel, for rows in file order.
        """
        rule = self._data.validation
        if native and rule.method == "hash" and self._manifest.role(group) != "validation":
            file = self._manifest.files[group.file]
            salt, limit = _split_salt(file.key, rule.seed), _split_limit(rule.fraction)
            train, validation = split_rows(salt, group.first_row, limit, group.num_rows)
            return RowSelection(train, validation, filtered=0, missing_rows=0, missing={})
        if native and rule.method == "none" and not self._shuffle:
            return _every_row(group.num_rows)
        every, none = self._split(group, None, None)
        return RowSelection(every, none, filtered=0, missing_rows=0, missing={})

    def _split(
        self, group: RowGroup, usable: npt.NDArray[np.bool_] | None, marks: Array | None
    ) -> tuple[npt.NDArray[np.int64] | RowRuns, npt.NDArray[np.int64]]:
        """Return the training rows, shuffled if asked to, and the validation rows."""
        is_validation = self._validation_mask(group, marks)
        if usable is None and is_validation is False:
            return self._in_runs(group, group.num_rows), np.empty(0, dtype=np.int64)
        train, validation = _divide(usable, is_validation, group.num_rows)
        return train[np.asarray(self._in_runs(group, len(train)))] if self._shuffle else train, validation

    def _in_runs(self, group: RowGroup, num_rows: int) -> RowRuns:
        """Return an order of the training rows of ``group``, a permutation of runs of neighbouring rows.

        A row group falls into hundreds of runs that are put anywhere in it; where there are few rows, a run
        is one row.
        """
        if not self._shuffle:
            return RowRuns.in_place(num_rows)
        file = self._manifest.files[group.file]
        place = (group.ordinal, *(group.span or ())[:1])
        generator = np.random.default_rng([self._seed, _stable_hash(file.key), *place])
        length = max(1, min(_LONGEST_RUN, num_rows // _FEWEST_RUNS))
        return RowRuns(num_rows, length, generator.permutation(num_rows // length))

    def _filter(self, table: pa.Table, group: RowGroup) -> npt.NDArray[np.bool_] | None:
        dnf = self._data.filter_dnf
        if not dnf:
            return None
        names = dict.fromkeys(condition[0] for conditions in dnf for condition in conditions)
        kinds = {name: table.schema.field(name).type for name in names}
        where = self._manifest.where(group)
        key = tuple(kinds.values())
        if key not in self._filters:
            self._filters[key] = bind_all(dnf, kinds, where)
        try:
            return rows_kept(self._filters[key], table)
        except (pa.ArrowException, TypeError, ValueError) as error:
            limits.let_through(error)
            raise DataError(f"{where}: data.filter {dnf} cannot be applied: {error}") from error

    def _validation_mask(self, group: RowGroup, marks: Array | None) -> npt.NDArray[np.bool_] | bool:
        rule = self._data.validation
        if self._manifest.role(group) == "validation":
            return True
        if rule.method == "hash":
            file = self._manifest.files[group.file]
            return hash_split(file.key, group.first_row, group.num_rows, rule.fraction, rule.seed)
        if marks is not None:
            return np.asarray((marks != 0) & np.isfinite(marks))
        return False


@lru_cache(64)
def _every_row(num_rows: int) -> RowSelection:
    none = np.empty(0, dtype=np.int64)
    return RowSelection(RowRuns.in_place(num_rows), none, filtered=0, missing_rows=0, missing={})


def hash_split(
    file_key: str, first_row: int, num_rows: int, fraction: float, seed: int
) -> npt.NDArray[np.bool_]:
    """Return which of ``num_rows`` consecutive rows of a file validate.

    A row validates when splitmix64(hash(file key, seed) + row number) falls in the lowest ``fraction`` of 2⁶⁴
    (Steele, Lea & Flood 2014, the finaliser with Stafford's variant 13 constants).
    """
    limit = np.uint64(_split_limit(fraction))
    validates = np.empty(num_rows, dtype=bool)
    for start in range(0, num_rows, _HASHED_AT_ONCE):
        stop = min(start + _HASHED_AT_ONCE, num_rows)
        rows = np.arange(first_row + start, first_row + stop, dtype=np.uint64)
        np.less(row_hash(f"{seed}:{file_key}", rows), limit, out=validates[start:stop])
    return validates


def _split_limit(fraction: float) -> int:
    return min(int(fraction * 2**64), 2**64 - 1)


def _split_salt(file_key: str, seed: int) -> int:
    return _stable_hash(f"{seed}:{file_key}")


def row_hash(salt: str, row_numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Return splitmix64(hash(salt) + row number): 64 bits for each row, independent for different salts."""
    z = row_numbers * _GOLDEN
    z += np.uint64(_stable_hash(salt))
    for shift, factor in _MIXING:
        z ^= z >> shift
        z *= factor
    z ^= z >> np.uint64(31)
    return z


_LONGEST_RUN, _FEWEST_RUNS = 64, 1000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIXING = (
    (np.uint64(30), np.uint64(0xBF58476D1CE4E5B9)),
    (np.uint64(27), np.uint64(0x94D049BB133111EB)),
)
_HASHED_AT_ONCE = 1 << 14  # rows; the hash goes over them nine times, in the core's cache


def _stable_hash(text: str) -> int:
    """Return 64 bits of a hash that does not change between processes, unlike ``hash``."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _missing_masks(
    table: pa.Table, decoded: DecodedColumns, columns: Columns
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the rows without a usable value, for the columns that have any."""
    weight = [columns.weight] if columns.weight else []
    masks = {column.name: column.missing(decoded.features[column.name]) for column in columns.kinds}
    masks |= {name: not_finite(decoded.numbers[name]) for name in (*columns.targets, *weight)}
    if columns.cluster is not None:
        masks[columns.cluster] = without_value(table.column(columns.cluster))
    return {name: mask for name, mask in masks.items() if mask is not None}


def without_value(column: pa.ChunkedArray) -> npt.NDArray[np.bool_] | None:
    """Return which rows are null or NaN, whatever the type; None where none is."""
    if not column.null_count and not pa.types.is_floating(column.type):
        return None
    mask = column.is_null(nan_is_null=True).to_numpy()
    return mask if mask.any() else None


def _divide(
    usable: npt.NDArray[np.bool_] | None, is_validation: npt.NDArray[np.bool_] | bool, num_rows: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the row numbers of training and of validation rows."""
    if isinstance(is_validation, bool):
        rows = np.arange(num_rows) if usable is None else np.flatnonzero(usable)
        none = np.empty(0, dtype=np.int64)
        return (none, rows) if is_validation else (rows, none)
    if usable is None:
        return np.flatnonzero(~is_validation), np.flatnonzero(is_validation)
    return np.flatnonzero(usable & ~is_validation), np.flatnonzero(usable & is_validation)


def missing_report(missing: Mapping[str, int]) -> str:
    """List ``column: count`` pairs for a message, the most affected first."""
    ordered = sorted(missing.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{safe_name(name)} ({count:,} rows)" for name, count in ordered)
