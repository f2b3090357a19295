"""Counts, findings on columns, means and spreads of one pass over the data; mergeable in any grouping.

Shape suffixes: D encoded columns, K targets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data.block import Block
from linreg_dist.data.design.kind import ColumnKind, Found
from linreg_dist.data.rows import DecodedColumns, RowSelection

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
        return cls(counts, _moments(block.x_ND[:n], w_N), _moments(block.y_NK[:n], w_N))

    def merge(self, other: BlockSummary) -> None:
        """Add another part's rows to these."""
        self.counts.merge(other.counts)
        self.x.merge(other.x)
        self.y.merge(other.y)


def _moments(z_ND: torch.Tensor, w_N: torch.Tensor | None) -> MomentSums:
    """Return the moments of a block, slice by slice so that each slice is read from memory once.

    Sums within a slice run in the block's own type around the slice's mean, where they are small; slices
    merge in float64.
    Columns for which float32 does not do are summed again in float64: those whose squares leave its range
    (masses in kilograms and distances in metres can), and those that are constant up to its rounding.
    """
    moments = MomentSums.zeros(z_ND.shape[1])
    step = max(256, min(_SLICE_ROWS, _SLICE_ELEMENTS // max(z_ND.shape[1], 1)))
    for start in range(0, z_ND.shape[0], step):
        z = z_ND[start : start + step].t()  # (D, n), rows contiguous
        w = None if w_N is None else w_N[start : start + step]
        weight = float(z.shape[1]) if w is None else float(w.sum(dtype=torch.float64))
        if weight == 0.0:
            continue
        mean, m2 = _mean_and_m2(z, w, weight)
        doubtful = ~((m2 > _SMALL) & (m2 < _LARGE) & (m2 > _CONSTANT * weight * mean.square()))
        mean, m2 = mean.double(), m2.double()
        if z.dtype != torch.float64 and bool(doubtful.any()):
            exact_w = None if w is None else w.double()
            mean[doubtful], m2[doubtful] = _mean_and_m2(z[doubtful].double(), exact_w, weight)
        moments.merge(MomentSums(weight, mean.numpy(), m2.numpy()))
    return moments


def _mean_and_m2(
    z_DN: torch.Tensor, w_N: torch.Tensor | None, weight: float
) -> tuple[torch.Tensor, torch.Tensor]:
    if w_N is not None:
        # Sums and not matrix products: torch adds float32 in pairs there, and one after another in BLAS.
        mean = (z_DN * w_N).sum(dim=1) / weight
        return mean, (z_DN - mean[:, None]).square_().mul_(w_N).sum(dim=1)
    # Two reductions that vectorise well and need no copy; centring first is only for the columns whose mean
    # would cost Σz² - n·mean² more than a digit.
    mean = z_DN.sum(dim=1) / weight
    raw = torch.linalg.vector_norm(z_DN, dim=1).square_()
    m2 = raw - weight * mean.square()
    off_centre = ~(m2 > _CENTRED * raw)
    if bool(off_centre.any()):
        m2[off_centre] = (z_DN[off_centre] - mean[off_centre, None]).square_().sum(dim=1)
    return mean, m2


_CENTRED = 0.1
_SMALL, _LARGE = 1e-30, 1e30  # outside of these float32 may have lost squares to underflow or overflow
_CONSTANT = (
    1e-10  # variance over squared mean, below which float32's rounding of the mean would pass for a spread
)
_SLICE_ELEMENTS = 1 << 22  # 16 MiB of float32, about a shared cache
_SLICE_ROWS = 1 << 17  # a norm of more float32 numbers than this loses its sixth digit
