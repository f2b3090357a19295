from __future__ import annotations

from typing import Any

import pytest

from linreg_dist.data.design.documents import check_numbers, check_texts, is_finite
from linreg_dist.data.design.kinds import check_columns

NUMBER = {"name": "x", "kind": "numeric", "fill": 0.5}
LEVELS = {"name": "c", "kind": "categorical", "levels": ["a", "b", 3], "unseen": "zero", "fill": [0.1, 0.2]}


def test_what_an_encoding_writes_is_let_through() -> None:
    check_columns([NUMBER, LEVELS, {**LEVELS, "name": "d", "levels": [], "fill": None}])
    check_columns([{**NUMBER, "fill": None}, {"name": "new", "kind": "of a later version", "knots": 3}])


@pytest.mark.parametrize(
    "documents",
    [
        None,
        {},
        [1],
        [{}],
        [NUMBER, NUMBER],
        [{**NUMBER, "name": 1}],
        [{**NUMBER, "kind": None}],
        [{"name": "x", "kind": "numeric"}],
        [{**NUMBER, "fill": "0"}],
        [{**NUMBER, "fill": float("nan")}],
        [{**NUMBER, "fill": True}],
        [{**LEVELS, "levels": None}],
        [{**LEVELS, "levels": ["a", "a", "b"]}],
        [{**LEVELS, "levels": ["a", 1.5, "b"]}],
        [{**LEVELS, "unseen": "ignore"}],
        [{**LEVELS, "fill": [0.1]}],
        [{**LEVELS, "fill": [0.1, None]}],
    ],
    ids=str,
)
def test_anything_else_is_refused_in_one_line(documents: Any) -> None:
    with pytest.raises(ValueError, match=r"column") as caught:
        check_columns(documents)
    assert "\n" not in str(caught.value)


def test_levels_of_different_types_are_different() -> None:
    check_columns([{**LEVELS, "levels": [1, True, "1"]}])


def test_numbers_and_texts() -> None:
    assert [is_finite(v) for v in (1, 0.5, True, "1", None, float("inf"), 10**400)] == [
        True,
        True,
        *[False] * 5,
    ]
    check_numbers([1, 2.5], 2, "x")
    check_texts(["a", "b"], "x")
    for values in ([1], [1, "2"], None, "ab"):
        with pytest.raises(ValueError, match="x is no list of 2 finite numbers"):
            check_numbers(values, 2, "x")
    for values in (["a", 1], None, "ab", ["a", "a"]):
        with pytest.raises(ValueError, match=r"^x "):
            check_texts(values, "x")
