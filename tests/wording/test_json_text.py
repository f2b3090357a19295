from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.wording.json_text import MOST_LEVELS, parse_json, parse_object

_DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_DOCUMENTS)
def test_what_json_writes_is_read_back(document: Any) -> None:
    assert parse_json(json.dumps(document)) == document
    assert parse_json(json.dumps(document, ensure_ascii=False).encode(errors="replace")) is not ...


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 200 + "1" + "}" * 200,
        b"\xff\xfe",
        "9" * 10_000,
        "{'a': 1}",
    ],
    ids=["empty", "cut", "deep lists", "deep objects", "no UTF-8", "digits", "quotes"],
)
def test_whatever_is_wrong_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (Python's own words)
        parse_json(text)


def test_as_many_levels_as_are_allowed_are_read() -> None:
    text = "[" * MOST_LEVELS + "]" * MOST_LEVELS
    assert json.dumps(parse_json(text)) == text
    with pytest.raises(ValueError, match="too deeply"):
        parse_json(f"[{text}]")


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused_and_nothing_else(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse_json(content)


def test_half_a_character_is_replaced_and_a_whole_one_is_kept() -> None:
    found = parse_json(r'{"\ud800": ["\uD83D\uDE00", "\udfffx"]}')
    assert found == {"\ufffd": ["😀", "\ufffdx"]}
    json.dumps(found, ensure_ascii=False).encode()


def test_numbers_that_json_lacks_are_null_where_it_is_asked_for() -> None:
    text = '{"a": NaN, "b": [Infinity, -Infinity, 1e999, 1.5, 2]}'
    assert parse_json(text, finite=True) == {"a": None, "b": [None, None, None, 1.5, 2]}
    assert math.isnan(parse_json(text)["a"])


@pytest.mark.parametrize(
    ("text", "found"),
    [("[]", "a list"), ('"x"', "a text"), ("null", "null"), ("true", "true or false"), ("1.5", "a number")],
)
def test_a_document_that_is_no_object_is_named(text: str, found: str) -> None:
    with pytest.raises(ValueError, match=f"found {found}, expected an object"):
        parse_object(text)
