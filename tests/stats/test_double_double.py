"""Double-double arithmetic against rational numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.stats.digits.double_double import Double

NUMBERS = st.floats(-1e60, 1e60).filter(lambda value: value == 0 or abs(value) > 1e-60)
PAIRS = st.tuples(NUMBERS, NUMBERS)


def doubles(pair: tuple[float, float]) -> Double:
    """Return a number with digits in both parts."""
    return Double.of([pair[0]]) + Double.of([pair[1] * 1e-20])


def exact(number: Double, at: int = 0) -> Fraction:
    return Fraction(float(number.hi[at])) + Fraction(float(number.lo[at]))


def is_near(found: Fraction, expected: Fraction, scale: Fraction) -> bool:
    return abs(found - expected) <= abs(scale) * Fraction(1, 2**99)


@given(PAIRS, PAIRS)
def test_sums_and_products_have_twice_the_digits(a: tuple[float, float], b: tuple[float, float]) -> None:
    x, y = doubles(a), doubles(b)
    total, difference, product = exact(x) + exact(y), exact(x) - exact(y), exact(x) * exact(y)
    assert is_near(exact(x + y), total, total)
    assert is_near(exact(x - y), difference, difference)
    assert is_near(exact(x * y), product, product)
    assert is_near(exact(x.times(y.hi)), exact(x) * Fraction(float(y.hi[0])), product)


@given(PAIRS, PAIRS)
def test_quotients_and_roots_too(a: tuple[float, float], b: tuple[float, float]) -> None:
    x, y = doubles(a), doubles(b)
    if y.hi[0] != 0:
        assert is_near(exact(x / y), exact(x) / exact(y), exact(x) / exact(y))
    if x.hi[0] > 0:
        root = exact(x.sqrt())
        assert is_near(root * root, exact(x), exact(x))


@given(st.lists(NUMBERS, max_size=40))
def test_a_sum_loses_nothing_that_its_terms_do_not_cancel(values: list[float]) -> None:
    found = Double.of(np.array(values).reshape(-1, 1)).sum()
    size = sum((abs(Fraction(value)) for value in values), Fraction(0))
    assert is_near(exact(found), sum((Fraction(value) for value in values), Fraction(0)), size * 8)


@pytest.mark.parametrize("offset", [0, 1, 2, 3])
def test_the_bits_do_not_depend_on_where_the_memory_is_aligned(offset: int) -> None:
    values = np.random.default_rng(0).normal(size=(1001, 3))
    moved = np.empty(values.nbytes + 64, dtype=np.uint8)[8 * offset : 8 * offset + values.nbytes]
    there = moved.view(np.float64).reshape(values.shape)
    there[:] = values
    here, elsewhere = Double.of(values).sum(), Double.of(there).sum()
    assert here.hi.tobytes() == elsewhere.hi.tobytes()
    assert here.lo.tobytes() == elsewhere.lo.tobytes()
