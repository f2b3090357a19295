from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.wording.numbers import (
    align_decimals,
    format_count,
    format_duration,
    format_number,
    format_p_value,
    format_rate,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.00000"),
        (-12.5, "-12.5000"),
        (123456.0, "123456"),
        (1234567.0, "1.23457e+06"),
        (0.00012345678, "0.000123457"),
        (-8.4231e-06, "-8.42310e-06"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (None, "–"),
    ],
)
def test_a_number_has_six_significant_digits(value: float | None, text: str) -> None:
    assert format_number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_formatted_number_reads_back_to_six_digits(value: float) -> None:
    assert float(format_number(value)) == float(f"{value:.6g}")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "<0.001"), (0.00099, "<0.001"), (0.001, "0.001"), (0.0449, "0.045"), (1.0, "1.000"), (None, "–")],
)
def test_a_p_value_below_one_in_a_thousand_says_only_that(value: float | None, text: str) -> None:
    assert format_p_value(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00 row/s"),
        (999.0, "999 row/s"),
        (1000.0, "1.00 krow/s"),
        (999_900.0, "1000 krow/s"),
        (2_700_000.0, "2.70 Mrow/s"),
        (1.25e9, "1.25 Grow/s"),
        (5e12, "5000 Grow/s"),
    ],
)
def test_a_rate_has_three_digits_and_a_unit(value: float, text: str) -> None:
    assert format_rate(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1:00"),
        (185, "3:05"),
        (7385, "2:03:05"),
    ],
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_a_count_has_thousands_separators() -> None:
    assert [format_count(336_776), format_count(None)] == ["336,776", "–"]


def test_decimal_points_align() -> None:
    assert align_decimals(["1288.18", "-0.00102", "7", "–", "1.5e-07"]) == [
        "1288.18   ",
        "  -0.00102",
        "   7      ",
        "   –      ",
        "   1.5e-07",
    ]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_aligned_cells_keep_their_text_and_share_one_place_for_the_point(values: list[float]) -> None:
    texts = [format_number(value) for value in values]
    aligned = align_decimals(texts)
    assert [cell.strip() for cell in aligned] == texts
    assert len({len(cell) for cell in aligned}) == 1
    assert len({cell.index(".") for cell in aligned if "." in cell}) <= 1
