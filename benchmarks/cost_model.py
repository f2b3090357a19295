"""What a pass costs, as a sum of seven things, each with one coefficient found by non-negative least squares.

For n rows of d features and one target, float32, on p workers of one core each, on a machine with c cores, in
s optimizer steps::

    seconds = once                                 first pass only: footers, pilot block, first collective
            + scan    · n·(d+1)·4 / min(p, c)      first pass only: read, decompress, decode, convert
            + compute · n·(d+1)   / min(p, c)      predict, and the gradient
            + step    · s                          optimizer, autograd, plan
            + meet    · s            if p > 1      DistributedDataParallel, waiting for the slowest worker
            + latency · s·⌈log₂ p⌉                 rounds of a halving-doubling all-reduce
            + byte    · s·2(p-1)/p·8·(d+4)         what each worker sends, in float64 with the carried sums

The equations are divided by their measured seconds, so that a millisecond of a short pass weighs as much, in
relation, as a second of a long one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TERMS = ("once", "scan", "compute", "step", "meet", "latency", "byte")
UNITS = {
    "once": "s per first pass",
    "scan": "s per byte of decoded data",
    "compute": "s per value",
    "step": "s per step",
    "meet": "s per step of several workers",
    "latency": "s per round of a step's all-reduce",
    "byte": "s per byte sent",
}

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Work:
    """One pass over the rows, or (``rows`` 0) bare all-reduces of ``payload_bytes``."""

    rows: int
    features: int
    workers: int
    steps: int
    reads: bool
    cores: int
    payload_bytes: int | None = None

    @property
    def terms(self) -> Array:
        """What the coefficients are multiplied with, in the order of `TERMS`."""
        values = self.rows * (self.features + 1) / min(self.workers, self.cores)
        sent = 8 * (self.features + 4) if self.payload_bytes is None else self.payload_bytes
        return np.array(
            [
                1.0 if self.reads else 0.0,
                4.0 * values if self.reads else 0.0,
                values,
                self.steps if self.rows else 0,
                self.steps if self.rows and self.workers > 1 else 0,
                self.steps * math.ceil(math.log2(self.workers)),
                self.steps * 2.0 * (self.workers - 1) / self.workers * sent,
            ]
        )


@dataclass(frozen=True)
class Measured:
    """A pass and how long it took; ``fitted`` is False for points that are only compared."""

    work: Work
    seconds: float
    label: str
    fitted: bool = True


@dataclass(frozen=True)
class CostModel:
    """The coefficients, in the order of `TERMS`."""

    coefficients: tuple[float, ...]

    def seconds(self, work: Work) -> float:
        """Predict how long ``work`` takes."""
        return float(np.dot(self.coefficients, work.terms))

    def communication(self, work: Work) -> float:
        """Return the part of `seconds` that a worker alone would not need."""
        return float(np.dot(self.coefficients[4:], work.terms[4:]))

    def relative_error(self, point: Measured) -> float:
        """Return predicted over measured seconds, minus 1."""
        return self.seconds(point.work) / point.seconds - 1.0


def fit_cost_model(points: Sequence[Measured]) -> CostModel:
    """Fit the coefficients (Lawson & Hanson 1974, ch. 23, as in `scipy.optimize.nnls`) to the marked points.

    Raises:
        ValueError: fewer points than coefficients.
    """
    from scipy.optimize import nnls

    used = [point for point in points if point.fitted]
    if len(used) < len(TERMS):
        raise ValueError(f"{len(used)} points cannot determine {len(TERMS)} coefficients; measure more")
    rows = np.stack([point.work.terms / point.seconds for point in used])
    # The coefficients span ten orders of magnitude: bring the columns to one scale before solving.
    scale = np.linalg.norm(rows, axis=0)
    scale[scale == 0.0] = 1.0
    solution, _ = nnls(rows / scale, np.ones(len(used)))
    return CostModel(tuple((solution / scale).tolist()))
