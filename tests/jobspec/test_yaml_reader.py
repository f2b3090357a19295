from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.jobspec.reading.yaml_reader import YamlError, plain_scalar, read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("2E5", 2e5),
        ("1e+3", 1e3),
        ("-1.5e-3", -1.5e-3),
        (".5", 0.5),
        ("1.", 1.0),
        ("0", 0),
        ("-0", 0),
        ("+5", 5),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = plain_scalar(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "yes",
        "on",
        "off",
        "y",
        "n",
        "012",
        "-007",
        "12:30:45",
        "2013-01-01",
        "1_000",
        "1e",
        "e5",
        ".",
        "0b1",
    ],
)
def test_column_names_levels_and_times_stay_text(text: str) -> None:
    assert plain_scalar(text) == text
    assert read_yaml(f"[{text}]").data == [text]
    assert read_yaml(f"{text}: 1").data == {text: 1}


def test_infinity_and_nan_are_numbers() -> None:
    assert plain_scalar("-.inf") == -math.inf
    assert math.isnan(plain_scalar(".nan"))


def test_quotes_and_the_str_tag_keep_text() -> None:
    assert read_yaml("['5', \"1e-3\", 'null', !!str 5]").data == ["5", "1e-3", "null", "5"]


def test_keys_are_text_even_where_they_look_like_numbers() -> None:
    assert read_yaml("{1: a, true: b, null: c, 1.5: d}").data == {
        "1": "a",
        "true": "b",
        "null": "c",
        "1.5": "d",
    }


def test_filter_operators_need_no_quotes_unless_yaml_itself_uses_them() -> None:
    assert read_yaml("[[a, =, 1], [b, ==, 2], [c, <, 3], [d, <=, 4]]").data == [
        ["a", "=", 1], ["b", "==", 2], ["c", "<", 3], ["d", "<=", 4],
    ]  # fmt: skip


def test_every_key_and_value_has_a_position_counted_from_one() -> None:
    marks = read_yaml("a:\n  b: 1\n  c: [2, '3']\n").marks
    b, first, second = marks[("a", "b")], marks[("a", "c", 0)], marks[("a", "c", 1)]
    assert (b.key_line, b.key_column, b.line, b.column, b.plain) == (2, 3, 2, 6, True)
    assert (first.line, first.column, first.plain) == (3, 7, True)
    assert (second.line, second.column, second.plain) == (3, 10, False)


def test_aliases_and_merge_keys_are_expanded_and_own_keys_win() -> None:
    text = "base: &b {x: 1, y: 2}\nmore: &m {y: 7, z: 8}\nuse: {<<: [*b, *m], x: 3}\nsame: *b\n"
    assert read_yaml(text).data["use"] == {"x": 3, "y": 2, "z": 8}
    assert read_yaml(text).data["same"] == {"x": 1, "y": 2}


def test_json_reads_the_same_with_tabs_and_surrogate_pairs() -> None:
    text = '{\n\t"name": "\\ud83d\\ude00",\n\t"rate": 1E-3,\n\t"list": [true, null]\n}'
    document = read_yaml(text)
    assert document.data == json.loads(text)
    assert document.marks[("rate",)].column == 10


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        # YAML's keys end within 1,024 characters, of which an escaped one takes up to twelve.
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=80), inner),
        max_leaves=20,
    )
)
def test_any_json_document_reads_as_json_does(data: object) -> None:
    assert read_yaml(json.dumps(data)).data == data


def test_a_number_of_thousands_of_digits_is_no_crash() -> None:
    assert read_yaml("9" * 10_000).data == math.inf


def test_endless_nesting_is_refused() -> None:
    with pytest.raises(YamlError, match="nested too deeply"):
        read_yaml("[" * 5000 + "]" * 5000)


def test_an_empty_document_is_none() -> None:
    assert read_yaml("# nothing\n").data is None


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        (
            "a: 1\nb: 2\na: 3\nc: {d: 1, d: 2}",
            [
                (3, 1, 'the key "a" stands here twice, first at 1:1; remove one'),
                (4, 11, 'the key "d" stands here twice, first at 4:5; remove one'),
            ],
        ),
        (
            "f: [[a, != , 3]]",
            [
                (
                    1,
                    9,
                    'the tag != is not supported; remove it; a text that begins with "!" needs quotes: "!="',
                )
            ],
        ),
        (
            "a: !!python/object:os.system x",
            [(1, 4, "the tag !!python/object:os.system is not supported; remove it")],
        ),
        ("a: &a [*a]", [(1, 4, "an alias must not contain itself")]),
        ("a: &a {<<: *a}", [(1, 4, "an alias must not contain itself")]),
        ("? [a]\n: 3", [(1, 3, "found a list or a map as a key, expected text")]),
        (
            "a: 1\n---\nb: 2",
            [(2, 1, "found a second document, expected one per file; remove this and what follows")],
        ),
        ("a: \x07", [(1, 4, "not YAML: the character U+0007 is not allowed")]),
        (
            "<<: 3",
            [(1, 5, 'the merge key "<<" takes an alias of a map, such as <<: *defaults, or a list of them')],
        ),
        (
            "a: b: c",
            [
                (
                    1,
                    5,
                    'not YAML: mapping values are not allowed here; put quotes around a text with ": " '
                    "in it, and "
                    "check the indentation",
                )
            ],
        ),
    ],
)
def test_faults_are_named_with_their_position(text: str, faults: list[tuple[int, int, str]]) -> None:
    with pytest.raises(YamlError) as caught:
        read_yaml(text)
    assert caught.value.faults == faults


@pytest.mark.parametrize(
    ("text", "position", "hint"),
    [
        ("a: {b: ${X}}", (1, 9), '"${VAR}"'),
        ("a:\n\tb: 1", (2, 1), "indent with blanks, not tabs"),
        ("a: [x, >, 3]", (1, 8), "put quotes around a text that begins with this character"),
        ("a: 'x", (1, 6), "a quote or a bracket is not closed"),
        ("a: [1, 2", (1, 9), "a quote or a bracket is not closed"),
        ("a: *x", (1, 4), 'a text that begins with "*" needs quotes'),
    ],
)
def test_syntax_errors_say_what_to_do(text: str, position: tuple[int, int], hint: str) -> None:
    with pytest.raises(YamlError) as caught:
        read_yaml(text)
    ((line, column, message),) = caught.value.faults
    assert (line, column) == position
    assert message.startswith("not YAML: ")
    assert message.endswith(hint)


def test_nested_aliases_that_stand_for_millions_of_values_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(YamlError, match="over 100000 values"):
        read_yaml("\n".join(lines))
