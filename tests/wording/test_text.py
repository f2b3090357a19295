"""Text of the data as it may be shown: nothing in it steers a terminal, and its meaning stays legible."""

from __future__ import annotations

import ast
import csv
import io
import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.wording.names import free_name, intercept_name, some_names
from linreg_dist.wording.text import (
    csv_cell,
    markdown_code,
    safe_document,
    safe_json,
    safe_name,
    safe_text,
    without_colours,
)

# All of Unicode, halves of pairs too, and what matters far more often than chance would pick it.
HOSTILE = ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\x9b", "\xad", "\u061c", "\u200b", "\u200d", "\u200e",
           "\u2028", "\u2029", "\u202a", "\u202e", "\u2066", "\u2069", "\ufeff", "\ufff9", "\udc9b", "\u115f",
           "\u3164", "\U000e0001", "\U000e01ef", "\r"]  # fmt: skip
texts = st.text(
    st.one_of(
        st.sampled_from(HOSTILE), st.characters(exclude_categories=()), st.sampled_from("ab|`\\<=-\n\t")
    )
)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


def is_safe(text: str, keep: str = "\n\t") -> bool:
    """Judge by Unicode's own categories, apart from the code under test."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return all(
        c in keep or (unicodedata.category(c) not in kinds and not 0xE0000 <= ord(c) <= 0xE0FFF) for c in text
    )


@settings(deadline=None)
@given(texts)
def test_no_text_is_unsafe_once_it_is_shown(text: str) -> None:
    assert is_safe(safe_text(text))
    assert is_safe(safe_name(text), keep="")
    safe_text(text).encode()  # no half of a pair is left, which no stream could take


@settings(deadline=None)
@given(texts)
def test_a_text_that_was_made_safe_stays_as_it_is(text: str) -> None:
    assert safe_text(safe_text(text)) == safe_text(text)
    assert safe_name(safe_text(text)) == safe_name(text)


@settings(deadline=None)
@given(st.text(st.sampled_from(HOSTILE + list("abc {}é日"))))
def test_the_escapes_are_those_of_python(text: str) -> None:
    assert ast.literal_eval(f'"{safe_name(text)}"') == text


@pytest.mark.parametrize(
    "text", ["", "plain", "naïve", "日本語", "a b\tc\nd", "emoji 🎉 and ❤️", "x²·β", "a\xa0b"]
)
def test_text_that_does_no_harm_is_left_alone(text: str) -> None:
    assert safe_text(text) == text


def test_a_name_is_on_one_line() -> None:
    assert safe_name("a\nError: forged\r\t") == "a\\nError: forged\\r\\t"


@settings(deadline=None)
@given(documents)
def test_json_is_safe_to_show_and_means_exactly_the_same(document: object) -> None:
    text = safe_json(document, indent=2)
    assert is_safe(text)
    assert json.loads(text) == json.loads(json.dumps(document))


@settings(deadline=None)
@given(documents)
def test_a_document_for_tables_has_no_unsafe_text(document: object) -> None:
    assert is_safe(json.dumps(safe_document(document), ensure_ascii=False))


def test_colours_are_left_out_and_other_sequences_stay_visible() -> None:
    assert safe_text(without_colours("\x1b[1;31mred\x1b[0m \x1b[2J")) == "red \\x1b[2J"


@pytest.mark.parametrize("name", ["=1+1", "+1", "-x", "@SUM(A1)", "=HYPERLINK()", "\t=1", "\r=1"])
def test_no_spreadsheet_takes_a_name_for_a_formula(name: str) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerow([csv_cell(safe_name(name)), -1.5])
    assert next(csv.reader([buffer.getvalue()]))[0][0] not in "=+-@\t\r"
    assert buffer.getvalue().strip().endswith(",-1.5")  # a number stays a number


@pytest.mark.parametrize("name", ["x", "carrier=AA", "a b"])
def test_an_ordinary_name_is_plain_code_in_markdown(name: str) -> None:
    assert markdown_code(name) == f"`{name}`"


@settings(deadline=None)
@given(texts)
def test_no_name_breaks_out_of_its_cell_in_markdown(name: str) -> None:
    code = markdown_code(name)
    assert "\n" not in code
    assert "|" not in code
    inner = code[1:-1] if code.startswith("`") else code.removeprefix("<code>").removesuffix("</code>")
    assert "`" not in inner
    assert code.startswith("`") or not set("<>\\*_[]!") & set(inner)


@settings(deadline=None)
@given(st.lists(texts, unique=True))
def test_an_intercept_and_a_free_name_are_never_a_feature(names: list[str]) -> None:
    names += ["(intercept)", "((intercept))"]
    assert intercept_name(names) not in names
    assert free_name("(intercept)", names) not in names


def test_the_intercept_has_its_usual_name_among_usual_features() -> None:
    assert intercept_name(["x", "intercept"]) == "(intercept)"


def test_some_of_many_names_are_listed_each_on_one_line() -> None:
    assert some_names(["a\nb", "c", "d"], 2) == "a\\nb, c and 1 more"
