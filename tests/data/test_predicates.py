"""data.filter on every type, against Python's own exact comparison of the same values."""

from __future__ import annotations

import datetime as dt
import json
import math
import operator
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.data.design.columns import bind_columns
from linreg_dist.data.filter.predicates import bind
from linreg_dist.data.filter.pushdown import Question, possible_groups
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.rows import RowSelector, decode_columns
from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec

OPS = {"=": operator.eq, "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
       ">": operator.gt, ">=": operator.ge}  # fmt: skip

_WHOLE = {
    pa.int8(): (-128, 127), pa.int16(): (-(2**15), 2**15 - 1), pa.int32(): (-(2**31), 2**31 - 1),
    pa.int64(): (-(2**63), 2**63 - 1), pa.uint8(): (0, 255), pa.uint16(): (0, 2**16 - 1),
    pa.uint32(): (0, 2**32 - 1), pa.uint64(): (0, 2**64 - 1),
}  # fmt: skip
NUMBERS = (
    st.integers(-300, 300)
    | st.integers(-(2**65), 2**65)
    | st.sampled_from([2**24 + 1, 2.0**24 + 2, 0.5, -0.5, 1e30, -1e30, 127.5, 1e-9, math.inf, -math.inf])
    | st.floats(allow_nan=False)
)


def expected(values: list[Any], op: str, value: Any) -> list[bool]:
    if op == "in":
        return [v is not None and any(v == one for one in value) for v in values]
    if op == "not in":
        return [v is None or not any(v == one for one in value) for v in values]
    return [v is not None and bool(OPS[op](v, value)) for v in values]


def exact(number: float) -> Any:
    """The decimal number that a float is written as, which is what the spec says."""
    return number if isinstance(number, int) or math.isinf(number) else Fraction(repr(number))


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(list(_WHOLE)), st.data(), st.sampled_from([*OPS, "in", "not in"]))
def test_whole_numbers_are_compared_exactly(kind: pa.DataType, data: st.DataObject, op: str) -> None:
    low, high = _WHOLE[kind]
    values = data.draw(st.lists(st.none() | st.integers(low, high) | st.sampled_from([low, high, 0])))
    near = NUMBERS | st.sampled_from([low, high, low - 1, high + 1, *[v for v in values if v is not None]])
    value = data.draw(st.lists(near, min_size=1, max_size=3) if " " in op or op == "in" else near)
    mask = bind(("x", op, tuple(value) if isinstance(value, list) else value), kind).mask(
        pa.array(values, kind)
    )
    terms = [exact(v) for v in value] if isinstance(value, list) else exact(value)
    assert mask.tolist() == expected(values, op, terms)


@settings(deadline=None)
@given(
    st.sampled_from([pa.decimal32(7, 2), pa.decimal64(12, 3), pa.decimal128(30, 4), pa.decimal256(50, 6)]),
    st.lists(st.none() | st.integers(-99999, 99999)), NUMBERS, st.sampled_from(list(OPS)),
)  # fmt: skip
def test_decimals_are_compared_exactly(
    kind: pa.DataType, whole: list[int | None], value: float, op: str
) -> None:
    values = [None if v is None else Decimal(v).scaleb(-kind.scale) for v in whole]
    mask = bind(("x", op, value), kind).mask(pa.array(values, kind))
    fractions = [None if v is None else Fraction(v) for v in values]
    assert mask.tolist() == expected(fractions, op, exact(value))


@settings(deadline=None)
@given(
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.lists(st.none() | st.floats(width=16) | st.sampled_from([0.1, 0.5])),
    st.floats(allow_nan=False, width=16) | st.sampled_from([0.1, 0.5]) | st.integers(-2000, 2000),
    st.sampled_from(list(OPS)),
)
def test_floating_point_is_compared_in_its_own_precision(
    kind: Any, values: list[float | None], value: float, op: str
) -> None:
    with np.errstate(over="ignore"):
        own = [None if v is None else kind(v) for v in values]
        mask = bind(("x", op, value), pa.from_numpy_dtype(kind)).mask(
            pa.array(own, pa.from_numpy_dtype(kind))
        )
        # A half-precision column compares in single precision, which holds every value of it.
        term = np.float32(value) if kind is np.float16 else kind(value)
        assert mask.tolist() == expected(own, op, term)


TIMES = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=11 * i) for i in range(20)]
TEMPORAL: dict[str, tuple[pa.DataType, list[Any], str, Any]] = {
    **{
        f"timestamp {unit}": (pa.timestamp(unit), TIMES, "2024-01-05T06:00:00", dt.datetime(2024, 1, 5, 6))
        for unit in ("s", "ms", "us", "ns")
    },
    "of a date": (pa.timestamp("us"), TIMES, "2024-01-05", dt.datetime(2024, 1, 5)),
    "utc": (pa.timestamp("us", "UTC"), TIMES, "2024-01-05T06:00:00Z", dt.datetime(2024, 1, 5, 6)),
    "utc without Z": (pa.timestamp("us", "UTC"), TIMES, "2024-01-05 06:00", dt.datetime(2024, 1, 5, 6)),
    "utc by offset": (pa.timestamp("ms", "UTC"), TIMES, "2024-01-05T08:00+02:00", dt.datetime(2024, 1, 5, 6)),
    "zone": (pa.timestamp("us", "Europe/Berlin"), TIMES, "2024-01-05T07:00", dt.datetime(2024, 1, 5, 6)),
    "fixed zone": (pa.timestamp("us", "+02:00"), TIMES, "2024-01-05T08:00", dt.datetime(2024, 1, 5, 6)),
    "date32": (pa.date32(), [t.date() for t in TIMES], "2024-01-05", dt.date(2024, 1, 5)),
    "date64": (pa.date64(), [t.date() for t in TIMES], "2024-01-05", dt.date(2024, 1, 5)),
    "time32": (pa.time32("s"), [t.time() for t in TIMES], "11:00", dt.time(11)),
    "time64": (pa.time64("us"), [t.time() for t in TIMES], "11:00:00.000001", dt.time(11, 0, 0, 1)),
    "duration": (pa.duration("s"), [t - TIMES[0] for t in TIMES], "36 h", dt.timedelta(hours=36)),
    "duration as a clock": (
        pa.duration("ms"), [t - TIMES[0] for t in TIMES], "1 day 12:00:00", dt.timedelta(hours=36),
    ),
}  # fmt: skip


@pytest.mark.parametrize("op", [*OPS, "in", "not in"])
@pytest.mark.parametrize("what", TEMPORAL)
def test_every_temporal_type_is_compared_with_text(what: str, op: str) -> None:
    kind, values, text, moment = TEMPORAL[what]
    column = pa.array(
        [*values, None], kind if not getattr(kind, "tz", None) else pa.timestamp(kind.unit, "UTC")
    )
    mask = bind(("t", op, (text,) if "in" in op else text), kind).mask(column.cast(kind))
    assert mask.tolist() == expected([*values, None], op, [moment] if "in" in op else moment)


def test_a_date_column_is_compared_with_a_time_between_two_days() -> None:
    days = pa.array([dt.date(2024, 1, day) for day in (4, 5, 6)])
    assert bind(("t", ">=", "2024-01-05T12:00"), pa.date32()).mask(days).tolist() == [False, False, True]
    assert bind(("t", "<", "2024-01-05T12:00"), pa.date32()).mask(days).tolist() == [True, True, False]
    assert not bind(("t", "==", "2024-01-05T12:00"), pa.date32()).mask(days).any()


TEXTS = ["a", "b", "c", None]
TEXT_TYPES = [
    pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()), pa.binary(), pa.large_binary(), pa.binary_view(),
    pa.binary(1),
]  # fmt: skip


@pytest.mark.parametrize("op", [*OPS, "in", "not in"])
@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_every_kind_of_text_is_compared(kind: pa.DataType, op: str) -> None:
    column = pa.array(TEXTS, pa.string())
    if pa.types.is_dictionary(kind):
        column = column.dictionary_encode().cast(kind)
    elif pa.types.is_fixed_size_binary(kind) or "view" in str(kind):
        column = pa.array([v if v is None or "string" in str(kind) else v.encode() for v in TEXTS], kind)
    else:
        column = column.cast(kind)
    mask = bind(("s", op, ("b", "z") if "in" in op else "b"), kind).mask(pa.chunked_array([column, column]))
    assert mask.tolist() == expected(TEXTS * 2, op, ["b", "z"] if "in" in op else "b")


@pytest.mark.parametrize("value", [True, 1, 1.0, "true", " True "])
def test_truth_is_taken_in_every_way_it_is_written(value: Any) -> None:
    column = pa.array([True, False, None])
    assert bind(("b", "==", value), pa.bool_()).mask(column).tolist() == [True, False, False]
    assert bind(("b", "in", (value,)), pa.bool_()).mask(column).tolist() == [True, False, False]


@pytest.mark.parametrize(
    "kind",
    [*_WHOLE, pa.float16(), pa.float32(), pa.float64(), pa.decimal128(9, 2), pa.bool_(), pa.date32(),
     pa.timestamp("us"), pa.duration("s"), *TEXT_TYPES, pa.list_(pa.int8()), pa.null(),
     pa.struct({"a": pa.int8()}), pa.month_day_nano_interval(), pa.uuid()],
    ids=str,
)  # fmt: skip
def test_null_can_be_asked_of_every_type(kind: pa.DataType) -> None:
    column = pa.nulls(3, kind)
    assert bind(("x", "is", None), kind).mask(column).all()
    assert not bind(("x", "is_not", None), kind).mask(column).any()


def test_nan_is_no_null_and_unequal_to_all() -> None:
    column = pa.array([math.nan, None, 1.0])
    assert bind(("x", "is_not", None), pa.float64()).mask(column).tolist() == [True, False, True]
    assert bind(("x", "!=", 1.0), pa.float64()).mask(column).tolist() == [True, False, False]
    assert bind(("x", "not in", (1.0,)), pa.float64()).mask(column).tolist() == [True, True, False]


MISFITS: list[tuple[pa.DataType, str, Any, str]] = [
    (pa.int64(), "<", "ten", "expected a number"),
    (pa.float32(), "<", "2024-01-01", "expected a number"),
    (pa.decimal128(9, 2), "==", "x", "expected a number"),
    (pa.bool_(), "==", 2, "expected true or false"),
    (pa.bool_(), "==", "yes", "expected true or false"),
    (pa.string(), "==", 3, 'put it in quotes if it is one: "3"'),
    (pa.dictionary(pa.int8(), pa.string()), "in", (1, 2), "put it in quotes"),
    (pa.timestamp("us"), ">", 2024, "expected a time such as 2026-11-27T06:00:00"),
    (pa.timestamp("us"), ">", "2024-13-01", "month must be in 1..12"),
    (pa.timestamp("us"), ">", "2024-01-01T00:00Z", "names a zone and the column has none"),
    (pa.date32(), ">", "yesterday", "expected a date such as 2026-11-27"),
    (pa.time32("s"), ">", "2024-01-01", "expected a time of day"),
    (pa.duration("s"), ">", 5, "expected a duration such as 90 s"),
    (pa.list_(pa.int8()), "==", 1, "compared with nothing"),
    (pa.struct({"a": pa.int8()}), "==", "a", "compared with nothing"),
    (pa.month_day_nano_interval(), "==", "1 day", "compared with nothing"),
]


@pytest.mark.parametrize(("kind", "op", "value", "message"), MISFITS, ids=str)
def test_a_value_that_is_none_of_the_type_is_refused_with_column_value_and_type(
    kind: pa.DataType, op: str, value: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(".", r"\.")):
        bind(("odd", op, value), kind)
    if pa.types.is_interval(kind):
        return  # Parquet has no such column
    table = pa.table({"odd": pa.nulls(2, kind), "x": [1.0, 2.0], "y": [1.0, 2.0]})
    pq.write_table(table, tmp_path / "a.parquet")
    spec = DataSpec(path=str(tmp_path), target="y", features=["x"], filter=[["odd", op, value]])
    with pytest.raises(DataError) as caught:
        bind_columns(spec, read_manifest([str(tmp_path)]))
    assert "does not fit the column 'odd' of type" in str(caught.value)
    assert caught.value.exit_code == 3


def kept(path: Path, **data: Any) -> tuple[list[int], int]:
    """Return the ids of the rows that a filter keeps in training, and how many groups were read."""
    spec = DataSpec(path=str(path), target="y", features=["x"], validation={"method": "none"}, **data)
    manifest = read_manifest(spec.paths, filter_dnf=spec.filter_dnf)
    columns = bind_columns(spec, manifest)
    selector = RowSelector(manifest, columns, spec, shuffle=False, seed=0)
    reader = RowGroupReader(manifest, columns.to_read)
    found: list[int] = []
    for group in manifest.row_groups:
        if selector.ruled_out(group) is not None:
            assert selector.ruled_out(group).filtered == group.num_rows  # type: ignore[union-attr]
            continue
        table = reader.read(group)
        selection = selector.select(table, decode_columns(table, columns), group)
        found += table.column("x").take(pa.array(np.asarray(selection.train))).to_pylist()
    return found, len(manifest.row_groups) - len(manifest.ruled_out)


@pytest.mark.slow
@settings(deadline=None, max_examples=8)
@given(st.data())
def test_ruling_out_row_groups_changes_no_row(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """The same filter over one file in few rows a group and over one without statistics."""
    number = data.draw(st.integers(1, 30))
    column = data.draw(
        st.sampled_from(
            [
                pa.array([None if i % 5 == 0 else i // 3 for i in range(number)], pa.int32()),
                pa.array([math.nan if i % 4 == 0 else i / 3 for i in range(number)]),
                pa.array([math.nan] * number, pa.float32()),
                pa.array([f"k{i // 4}" for i in range(number)]),
                pa.array([dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(number)]),
                pa.array([Decimal(i).scaleb(-1) for i in range(number)], pa.decimal128(9, 1)),
                pa.array([i % 2 == 0 for i in range(number)]),
                pa.nulls(number, pa.int64()),
            ]
        )
    )
    value: Any = "2024-01-07" if pa.types.is_date(column.type) else data.draw(st.sampled_from([0, 1, 3, 2.5]))
    if pa.types.is_string(column.type):
        value = data.draw(st.sampled_from(["k1", "k9", "a"]))
    if pa.types.is_boolean(column.type):
        value = data.draw(st.booleans())
    op = data.draw(st.sampled_from([*OPS, "in", "not in", "is", "is_not"]))
    operand = None if op.startswith("is") else [value] if "in" in op else value
    condition, other = ["c", op, operand], ["x", "<", data.draw(st.integers(0, 30))]
    dnf = data.draw(st.sampled_from([[condition], [condition, other], [[condition], [other]]]))
    root = tmp_path_factory.mktemp("p")
    table = pa.table({"c": column, "x": pa.array(range(number)), "y": pa.array(np.ones(number))})
    few, plain = root / "few.parquet", root / "plain.parquet"
    pq.write_table(table, few, row_group_size=data.draw(st.integers(1, 7)))
    pq.write_table(table, plain, write_statistics=False)
    rows, groups = kept(few, filter=dnf)
    assert groups <= -(-number // 1)
    assert rows == kept(plain, filter=dnf)[0]


def test_row_groups_and_hive_folders_that_cannot_match_are_not_read(tmp_path: Path) -> None:
    for month in (1, 2, 3):
        table = pa.table({"x": pa.array(range(100)), "y": pa.array(np.ones(100))})
        (tmp_path / f"month={month}").mkdir()
        pq.write_table(table, tmp_path / f"month={month}" / "p.parquet", row_group_size=10)
    assert kept(tmp_path, filter=[["month", "=", 2]])[1] == 10
    assert kept(tmp_path, filter=[["month", ">=", 2], ["x", "<", 15]])[1] == 4
    assert kept(tmp_path, filter=[["month", "=", 9]]) == ([], 0)
    assert kept(tmp_path, filter=[[["month", "=", 1]], [["x", ">", 88]]])[1] == 10 + 2 * 2


def test_a_result_says_what_was_read(tmp_path: Path, train_here: Any) -> None:
    rng = np.random.default_rng(0)
    x = np.sort(rng.normal(size=1000))
    table = pa.table({"x": x, "unused": [[1]] * 1000, "y": 2 * x + rng.normal(size=1000) * 0.1})
    (tmp_path / "d").mkdir()
    pq.write_table(table, tmp_path / "d" / "a.parquet", row_group_size=100)
    whole = train_here(tmp_path / "d", name="whole").document.data
    part = train_here(tmp_path / "d", name="part", data={"filter": [["x", ">", float(x[850])]]})
    footer = pq.read_metadata(tmp_path / "d" / "a.parquet")
    size = [sum(footer.row_group(i).column(n).total_compressed_size for n in (0, 2)) for i in range(10)]
    assert (whole.row_groups, whole.row_groups_skipped, whole.bytes_read) == (10, 0, sum(size))
    data = part.document.data
    assert (data.row_groups, data.row_groups_skipped, data.bytes_read) == (10, 8, sum(size[8:]))
    assert part.document.rows.dropped["filter"] == 851
    assert part.document.rows.train == 149


def test_a_damaged_footer_ends_no_process_and_judges_nothing_wrongly(tmp_path: Path) -> None:
    table = pa.table({"x": range(100), "s": ["a"] * 50 + ["b"] * 50, "y": np.ones(100)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10)
    whole = (tmp_path / "a.parquet").read_bytes()
    length = int.from_bytes(whole[-8:-4], "little") + 8
    dnf = [[("x", ">", 50), ("s", "==", "b")]]
    good = Question(whole[-length:], len(whole), dnf)
    rng = np.random.default_rng(0)
    questions = [good]
    for _ in range(300):
        tail = bytearray(good.tail)
        tail[rng.integers(length - 8)] ^= 1 << int(rng.integers(8))
        questions.append(Question(bytes(tail), len(whole), dnf))
    answers = possible_groups(questions)
    assert answers[0] == {5, 6, 7, 8, 9}
    assert len(answers) == 301
    assert possible_groups([good, good]) == [answers[0]] * 2


def test_the_program_that_judges_row_groups_loads_no_pandas_nor_do_those_who_ask(tmp_path: Path) -> None:
    """It takes longer to load than all else that they load."""
    pq.write_table(pa.table({"x": range(100)}), tmp_path / "a.parquet", row_group_size=10)
    program = (
        "import runpy, sys\n"
        "from linreg_dist.data.filter import pushdown\n"
        "assert 'pandas' not in sys.modules\n"
        "runpy.run_path(pushdown.__file__, run_name='__main__')\n"
        "assert 'pandas' not in sys.modules\n"
    )
    whole = (tmp_path / "a.parquet").read_bytes()
    question = json.dumps([len(whole), [[["x", ">", 75]]]]).encode()
    content = b"".join(len(part).to_bytes(8, "little") + part for part in (question, whole))
    done = subprocess.run([sys.executable, "-c", program], input=content, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"[7, 8, 9]\n", b"")
