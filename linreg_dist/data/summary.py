"""Counts, findings on columns, means and spreads of one pass over the data; mergeable in any grouping.

Shape suffixes: D encoded columns, K targets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from linreg_dist.data.block import Block
from linreg_dist.data.design.kind import ColumnKind, Found
from linreg_dist.data.rows import DecodedColumns, RowSelection
from linreg_dist.kernels.calls import column_spreads

Vector = npt.NDArray[np.float64]


@dataclass
class RowCounts:
    """How many rows were read and what became of them."""

    read: int = 0
    train: int = 0
    validation: int = 0
    filtered: int = 0
    weightless: int = 0
    missing_rows: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    first_missing: dict[str, int] = field(
        default_factory=dict
    )  # column -> index of the first row group affected

    def add(self, selection: RowSelection, group: int, num_rows: int) -> None:
        """Count one row group."""
        self.read += num_rows
        self.train += len(selection.train)
        self.validation += len(selection.validation)
        self.filtered += selection.filtered
        self.weightless += selection.weightless
        self.missing_rows += selection.missing_rows
        self.missing.update(selection.missing)
        for name in selection.missing:
            self.first_missing[name] = min(group, self.first_missing.get(name, group))

    def merge(self, other: RowCounts) -> None:
        """Add another part's counts to these."""
        self.read += other.read
        self.train += other.train
        self.validation += other.validation
        self.filtered += other.filtered
        self.weightless += other.weightless
        self.missing_rows += other.missing_rows
        self.missing.update(other.missing)
        for name, group in other.first_missing.items():
            self.first_missing[name] = min(group, self.first_missing.get(name, group))


@dataclass
class ColumnScan:
    """What the first pass finds out about the columns, over usable rows.

    Attributes:
        counts: what became of the rows.
        found: column -> what its kind found.

    """

    counts: RowCounts = field(default_factory=RowCounts)
    found: dict[str, Found] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        decoded: DecodedColumns,
        selection: RowSelection,
        columns: Iterable[ColumnKind],
        group: int,
        where: str,
    ) -> ColumnScan:
        """Return what one row group says of ``columns``."""
        scan = cls()
        scan.counts.add(selection, group, decoded.num_rows)
        train = np.asarray(selection.train)
        for column in columns:
            values = decoded.features[column.name]
            scan.found[column.name] = column.find(values, train, selection.validation, where)
        return scan

    def merge(self, other: ColumnScan) -> None:
        """Add another part's findings to these."""
        self.counts.merge(other.counts)
        for name, found in other.found.items():
            if name in self.found:
                self.found[name].merge(found)
            else:
                self.found[name] = deepcopy(found)


@dataclass
class MomentSums:
    """Weighted mean and sum of squared deviations of a set of columns, merged by Chan, Golub & LeVeque
    (1983), eq. 2.1.
    """

    weight: float
    mean: Vector
    m2: Vector

    @classmethod
    def zeros(cls, width: int) -> MomentSums:
        """Return the moments of no rows."""
        return cls(0.0, np.zeros(width), np.zeros(width))

    def merge(self, other: MomentSums) -> None:
        """Add another part's rows to these."""
        if other.weight == 0.0:
            return
        total = self.weight + other.weight
        delta = other.mean - self.mean
        self.m2 = self.m2 + other.m2 + delta**2 * (self.weight * other.weight / total)
        self.mean = self.mean + delta * (other.weight / total)
        self.weight = total

    @property
    def std(self) -> Vector:
        """Population standard deviation (divisor Σw), 0 for a constant column."""
        return np.sqrt(self.m2 / self.weight) if self.weight else np.zeros_like(self.m2)


@dataclass
class BlockSummary:
    """Counts, and the moments of the training rows of features and targets as blocks hold them (less
    their shift).
    """

    counts: RowCounts
    x: MomentSums
    y: MomentSums

    @classmethod
    def empty(cls, num_features: int, num_targets: int) -> BlockSummary:
        """Return the summary of no rows."""
        return cls(RowCounts(), MomentSums.zeros(num_features), MomentSums.zeros(num_targets))

    @classmethod
    def of(cls, block: Block, selection: RowSelection, group: int, num_rows: int) -> BlockSummary:
        """Summarise one block."""
        counts = RowCounts()
        counts.add(selection, group, num_rows)
        n = block.num_train
        w_N = None if block.w_N is None else block.w_N[:n]
        moments = _native_moments if block.native else _moments
        return cls(counts, moments(block.x_ND[:n], w_N), moments(block.y_NK[:n], w_N))

    def merge(self, other: BlockSummary) -> None:
        """Add another part's rows to these."""
        self.counts.merge(other.counts)
        self.x.merge(other.x)
        self.y.merge(other.y)


def _native_moments(z_ND: npt.NDArray[Any], w_N: npt.NDArray[Any] | None) -> MomentSums:
    """Return what `_moments` does, to the rounding of float64, in a sixth of its time."""
    return MomentSums(*column_spreads(z_ND, w_N))


def _moments(z_ND: npt.NDArray[Any], w_N: npt.NDArray[Any] | None) -> MomentSums:
    """Return the moments of a block, in float64, tile by tile: a tile is read from memory once and stays in
    the core's cache.

    Sums run around the first row of a tile that has a weight, so a column that is constant has exactly no
    spread, and one whose mean is large keeps its digits.
    """
    num_rows, width = z_ND.shape
    moments = MomentSums.zeros(width)
    step = min(max(_FEWEST_ROWS, _TILE_ELEMENTS // max(width, 1)), max(num_rows, 1))
    scratch = np.empty((width, step))
    for start in range(0, num_rows, step):
        rows = slice(start, start + step)
        w = np.ones(len(z_ND[rows])) if w_N is None else w_N[rows].astype(np.float64)
        weight = float(w.sum())
        if weight == 0.0:
            continue
        near = z_ND[start + int(w.argmax())].astype(np.float64)
        tile = scratch[:, : len(w)]
        with np.errstate(over="ignore", invalid="ignore"):  # such columns are named later
            np.subtract(z_ND[rows].T, near[:, None], out=tile)
            # No product of matrices: BLAS would add in an order that depends on its threads.
            offset = np.einsum("dn,n->d", tile, w) / weight
            tile -= offset[:, None]
            weighted = tile if w_N is None else tile * w
            moments.merge(MomentSums(weight, near + offset, np.einsum("dn,dn->d", weighted, tile)))
    return moments


_TILE_ELEMENTS = 1 << 16  # half a MiB of float64
_FEWEST_ROWS = 256
