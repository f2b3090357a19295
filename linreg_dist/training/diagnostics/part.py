"""`Part`: what the pass finds in some rows; parts of disjoint rows merge, in order.

Shape suffixes: N rows, D encoded columns, K targets, B bins, L levels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from linreg_dist.training.diagnostics.question import Question, Vector

MOST_LARGEST = 12  # of a target
MOST_FAR = 12


@dataclass(frozen=True)
class Row:
    """One row that is kept as it is.

    Attributes:
        group, number: its row group, and its number in it.
        split: train or validation.
        weight: of the row.
        y_K, fitted_K, x_D: actual and predicted targets, encoded features.

    """

    group: int
    number: int
    split: str
    weight: float
    y_K: Vector
    fitted_K: Vector
    x_D: Vector


@dataclass
class BinSums:
    """Rows, Σw, Σw·r and Σw·r² per target, in bins or levels."""

    rows_B: npt.NDArray[np.int64]
    weight_B: Vector
    sum_KB: Vector
    square_KB: Vector

    @classmethod
    def empty(cls, targets: int, bins: int) -> BinSums:
        """Return the sums over no rows."""
        zeros = np.zeros((targets, bins))
        return cls(np.zeros(bins, np.int64), np.zeros(bins), zeros, zeros.copy())

    def add(self, bins_N: npt.NDArray[np.intp], residual_KN: Vector, w_N: Vector | None) -> None:
        """Add rows by their bins."""
        count = len(self.rows_B)
        rows = np.bincount(bins_N, minlength=count)
        self.rows_B += rows
        self.weight_B += rows if w_N is None else np.bincount(bins_N, w_N, count)
        for k, residual_N in enumerate(residual_KN):
            weighted = residual_N if w_N is None else residual_N * w_N
            self.sum_KB[k] += np.bincount(bins_N, weighted, count)
            self.square_KB[k] += np.bincount(bins_N, weighted * residual_N, count)

    def merge(self, other: BinSums) -> None:
        """Add another part's rows to these."""
        self.rows_B += other.rows_B
        self.weight_B += other.weight_B
        self.sum_KB += other.sum_KB
        self.square_KB += other.square_KB


@dataclass
class Part:
    """What was found in some rows.

    Attributes:
        rows: that were looked at, of both splits.
        fitted_KN, residual_KN, w_N: of the rows that are shown, in pieces.
        low_D, high_D: range of the encoded columns on training rows.
        train_rows, train_weight, train_y_K: number, Σw and Σw·y of the training rows.
        products: Σw·z·z' of the squared columns, standardised, with a constant first, on training rows.
        binned, levelled: residuals of the rows that are shown, by value.
        largest: per target, rows with the largest errors; far: training rows far from the others; sampled.

    """

    rows: int
    low_D: Vector
    high_D: Vector
    train_rows: int
    train_weight: float
    train_y_K: Vector
    products: Vector
    binned: list[BinSums]
    levelled: list[BinSums]
    largest: list[list[Row]]
    fitted_KN: list[Vector] = field(default_factory=list)
    residual_KN: list[Vector] = field(default_factory=list)
    w_N: list[Vector] = field(default_factory=list)
    far: list[tuple[float, Row]] = field(default_factory=list)
    sampled: list[Row] = field(default_factory=list)

    @classmethod
    def empty(cls, question: Question) -> Part:
        """Return the part of no rows."""
        targets, width = question.coef_KD.shape
        size = 1 + len(question.squared)
        return cls(
            rows=0,
            low_D=np.full(width, np.inf),
            high_D=np.full(width, -np.inf),
            train_rows=0,
            train_weight=0.0,
            train_y_K=np.zeros(targets),
            products=np.zeros((size, size)),
            binned=[BinSums.empty(targets, len(column.edges) - 1) for column in question.binned],
            levelled=[BinSums.empty(targets, len(column.group_names)) for column in question.levelled],
            largest=[[] for _ in range(targets)],
        )

    def merge(self, other: Part) -> None:
        """Add another part's rows to these."""
        self.rows += other.rows
        np.minimum(self.low_D, other.low_D, out=self.low_D)
        np.maximum(self.high_D, other.high_D, out=self.high_D)
        self.train_rows += other.train_rows
        self.train_weight += other.train_weight
        self.train_y_K += other.train_y_K
        self.products += other.products
        for mine, theirs in zip(
            (*self.binned, *self.levelled), (*other.binned, *other.levelled), strict=True
        ):
            mine.merge(theirs)
        self.fitted_KN += other.fitted_KN
        self.residual_KN += other.residual_KN
        self.w_N += other.w_N
        self.far += other.far
        self.sampled += other.sampled
        for k, rows in enumerate(other.largest):
            self.largest[k] += rows
        self.prune()

    def prune(self) -> None:
        """Forget rows that are not among the largest any more; of equals the first in the files stay."""
        for k, rows in enumerate(self.largest):
            rows.sort(key=lambda row: (-abs(row.y_K[k] - row.fitted_K[k]), row.group, row.number))
            del rows[MOST_LARGEST:]
        self.far.sort(key=lambda item: (-item[0], item[1].group, item[1].number))
        del self.far[MOST_FAR:]
