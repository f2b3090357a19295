"""Certified problems: the escalating solver keeps the digits (give or take one) that a float64 QR keeps."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg as sl
from nist_problems import REFERENCES, Reference, exact_solution
from stats_blocks import factor_of, moments_of, with_ones

from linreg_dist.stats.solve import Solution, solve

CASES = pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.name)


def correct_digits(values, exact: list[Fraction]) -> float:
    """The least number of correct significant digits over the coefficients."""
    errors = [abs(float((Fraction(float(v)) - e) / e)) for v, e in zip(values, exact, strict=True)]
    return min(-math.log10(max(error, 1e-16)) for error in errors)


def escalated(reference: Reference) -> Solution:
    x, y = reference.arrays()
    solution = solve(moments_of(x, y), fit_intercept=reference.fit_intercept)
    if solution.tsqr_reason:
        solution = solve(factor_of(x, y), fit_intercept=reference.fit_intercept)
    return solution


def coefficients(reference: Reference, solution: Solution) -> list[float]:
    return [*solution.intercept, *solution.coef[0]] if reference.fit_intercept else [*solution.coef[0]]


@CASES
def test_the_data_are_those_that_were_certified(reference):
    assert correct_digits(reference.certified, exact_solution(reference)) > 14


@CASES
def test_as_many_digits_as_a_float64_qr_of_the_same_rows(reference):
    x, y = reference.arrays()
    design = with_ones(x) if reference.fit_intercept else x
    q, r = np.linalg.qr(design)
    by_qr = sl.solve_triangular(r, q.T @ y[:, 0])
    exact = exact_solution(reference)
    solution = escalated(reference)
    assert correct_digits(coefficients(reference, solution), exact) > correct_digits(by_qr, exact) - 1
    assert not solution.singular


@CASES
def test_the_residual_sum_of_squares_is_certified_too(reference):
    solution = escalated(reference)
    assert solution.residual_sum[0] == pytest.approx(reference.residual_sum, rel=1e-7, abs=1e-15)


@pytest.mark.parametrize("name", ["Filip", "Wampler1", "Wampler3", "Wampler5", "Pontius"])
def test_the_hard_problems_ask_for_qr(name):
    reference = next(r for r in REFERENCES if r.name == name)
    assert solve(moments_of(*reference.arrays())).tsqr_reason is not None
