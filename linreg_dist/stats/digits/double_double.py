"""Double-double numbers: an unevaluated sum of two float64, about 32 digits, in vectorised numpy.

Only elementwise additions and products are used, in a fixed order, so the same numbers give the same bits
whatever their alignment in memory.

Dekker, "A floating-point technique for extending the available precision" (1971): products and quotients;
Knuth, TAOCP 2, 4.2.2, theorem B: sums; Hida, Li and Bailey, "Library for double-double and quad-double
arithmetic" (2007): the rest, with relative errors of a few 2⁻¹⁰⁴.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_SPLITTER = float(2**27 + 1)


@dataclass(frozen=True)
class Double:
    """An array of double-double numbers: ``hi`` is the nearest float64, ``lo`` what it misses."""

    hi: Floats
    lo: Floats

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Double:
        """Return float64 values as they are."""
        hi = np.asarray(values, dtype=np.float64)
        return cls(hi, np.zeros_like(hi))

    @classmethod
    def zeros(cls, *shape: int) -> Double:
        """Return zeros."""
        return cls(np.zeros(shape), np.zeros(shape))

    def __getitem__(self, index: Any) -> Double:
        return Double(np.asarray(self.hi[index]), np.asarray(self.lo[index]))

    def __add__(self, other: Double) -> Double:
        total, error = two_sum(self.hi, other.hi)
        small, rest = two_sum(self.lo, other.lo)
        total, error = _renormalised(total, error + small)
        return Double(*_renormalised(total, error + rest))

    def __neg__(self) -> Double:
        return Double(-self.hi, -self.lo)

    def __sub__(self, other: Double) -> Double:
        return self + -other

    def __mul__(self, other: Double) -> Double:
        product, error = two_product(self.hi, other.hi)
        return Double(*_renormalised(product, error + (self.hi * other.lo + self.lo * other.hi)))

    def times(self, values: Floats) -> Double:
        """Return the product with float64 values."""
        product, error = two_product(self.hi, values)
        return Double(*_renormalised(product, error + self.lo * values))

    def __truediv__(self, other: Double) -> Double:
        first = self.hi / other.hi
        rest = self - other.times(first)
        second = rest.hi / other.hi
        rest = rest - other.times(second)
        third = rest.hi / other.hi
        return Double(*_renormalised(first, second)) + Double.of(third)

    def sqrt(self) -> Double:
        """Return the square root of positive numbers: one Newton step from float64's."""
        root = Double.of(np.sqrt(self.hi))
        rest = self - root * root
        return root + Double.of(rest.hi / (2.0 * root.hi))

    def sum(self) -> Double:
        """Return the sum over the first axis, in a tree that depends on its length alone."""
        part = self
        while len(part.hi) > 1:
            half = len(part.hi) // 2
            added = part[:half] + part[half : 2 * half]
            if len(part.hi) % 2:
                last = part[2 * half :]
                added = Double(np.concatenate([added.hi, last.hi]), np.concatenate([added.lo, last.lo]))
            part = added
        return part[0] if len(part.hi) else Double.zeros(*self.hi.shape[1:])


def two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return ``a + b`` rounded, and its error exactly."""
    total = a + b
    b_in = total - a
    return total, (a - (total - b_in)) + (b - b_in)


def two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return ``a · b`` rounded, and its error exactly, as long as neither over- nor underflows."""
    product = a * b
    a_hi, a_lo = _split(a)
    b_hi, b_lo = _split(b)
    return product, ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo


def _split(a: Floats) -> tuple[Floats, Floats]:
    scaled = _SPLITTER * a
    hi = scaled - (scaled - a)
    return hi, a - hi


def _renormalised(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    total = a + b
    return total, b - (total - a)
