from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from linreg_dist.data.design.columns import Columns, bind_columns, check_columns
from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec
from tests.parquet import write_parquet

EVERY_TYPE = pa.table(
    {
        "y": [1.0, 2.0],
        "number": [1.5, 2.5],
        "half": pa.array([1.0, 2.0], pa.float32()).cast(pa.float16()),
        "count": [1, 2],
        "flag": [True, False],
        "money": pa.array([Decimal("1.25"), Decimal("2.50")]),
        "text": ["a", "b"],
        "coded": pa.array(["a", "b"]).dictionary_encode(),
        "day": [date(2013, 1, 1), date(2013, 1, 2)],
        "when": pa.array([1, 2], pa.timestamp("us")),
        "many": [[1], [2, 3]],
        "nothing": pa.array([None, None], pa.null()),
    }
)


def bind(path: Path, **data: Any) -> Columns:
    return bind_columns(DataSpec(path=str(path), **{"target": "y", **data}), read_manifest([str(path)]))


def test_default_features_are_all_usable_columns_and_the_others_are_named_with_the_reason(tmp_path):
    write_parquet(tmp_path / "a.parquet", EVERY_TYPE)
    columns = bind(tmp_path)
    assert columns.features == ("number", "half", "count", "flag", "money", "text", "coded")
    assert columns.by_kind() == {
        "numeric": ("number", "half", "count", "flag", "money"),
        "categorical": ("text", "coded"),
    }
    assert list(columns.skipped) == ["day", "when", "many", "nothing"]
    assert columns.skipped["day"] == "type date32[day] is neither a number nor a string"


def test_target_weight_split_and_excluded_columns_are_no_default_features(tmp_path):
    table = {"y": [1.0], "z": [1.0], "w": [1.0], "held": [True], "id": [1], "x": [1.0]}
    write_parquet(tmp_path / "a.parquet", table)
    columns = bind(
        tmp_path,
        target=["y", "z"],
        weight="w",
        exclude=["id"],
        validation={"method": "column", "column": "held"},
    )
    assert columns.features == ("x",)
    assert columns.targets == ("y", "z")
    assert columns.to_read == ("x", "y", "z", "w", "held")


def test_features_keep_the_order_of_the_spec(tmp_path):
    write_parquet(tmp_path / "a.parquet", EVERY_TYPE)
    assert bind(tmp_path, features=["text", "count", "number"]).features == ("text", "count", "number")


def test_a_column_that_only_the_filter_needs_is_read_and_no_feature(tmp_path):
    write_parquet(tmp_path / "a.parquet", EVERY_TYPE)
    columns = bind(tmp_path, features=["number"], filter=[["count", ">", 1], ["text", "==", "a"]])
    assert columns.features == ("number",)
    assert columns.to_read == ("number", "y", "count", "text")


def test_hive_keys_are_columns_like_any_other(tmp_path):
    write_parquet(tmp_path / "month=1" / "carrier=AA" / "a.parquet", {"x": [1.0], "y": [2.0]})
    write_parquet(tmp_path / "month=2" / "carrier=UA" / "a.parquet", {"x": [1.0], "y": [2.0]})
    columns = bind(tmp_path)
    assert columns.features == ("x", "month", "carrier")
    assert columns.by_kind()["categorical"] == ("carrier",)


def test_levels_of_the_spec_are_kept_and_integers_can_be_categories(tmp_path):
    write_parquet(tmp_path / "a.parquet", EVERY_TYPE)
    columns = bind(tmp_path, features=["count", "text"], categorical={"count": [2, 1], "text": "auto"})
    assert [column.to_json()["levels"] for column in columns.kinds] == [[2, 1], []]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"target": "yy"}, r"has no column 'yy' \(target\); did you mean 'y'\?"),
        ({"features": ["numbr"]}, r"has no column 'numbr' \(feature\); did you mean 'number'\?"),
        ({"features": ["zzz"]}, r"has no column 'zzz' \(feature\); it has y, number, half"),
        ({"weight": "wait"}, r"has no column 'wait' \(weight\)"),
        ({"filter": [["cuont", ">", 1]]}, r"has no column 'cuont' \(filter\); did you mean 'count'\?"),
        (
            {"validation": {"method": "column", "column": "flga"}},
            r"has no column 'flga' \(validation column\); did you mean 'flag'\?",
        ),
    ],
)
def test_a_missing_column_is_named_with_its_part_and_the_nearest_name(tmp_path, data, message):
    write_parquet(tmp_path / "a.parquet", EVERY_TYPE)
    with pytest.raises(DataError, match=r"a\.parquet " + message):
        bind(tmp_path, **data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"target": "text"}, r"the target 'text' has type string; expected a number.*data\.target"),
        ({"target": "day"}, r"the target 'day' has type date32\[day\]; expected a number"),
        ({"weight": "text"}, r"the weight 'text' has type string; expected a number.*data\.weight"),
        (
            {"validation": {"method": "column", "column": "text"}},
            r"the validation column 'text' has type string; expected a number.*data\.validation\.column",
        ),
        ({"features": ["day"]}, r"the feature 'day' has type date32\[day\]; expected a number.*leave it out"),
        ({"features": ["nothing"]}, r"the feature 'nothing' has type null; expected a number"),
        (
            {"features": ["number"], "categorical": {"number": "auto"}},
            r"the feature 'number' has type double; expected strings, integers or booleans",
        ),
    ],
)
def test_a_type_that_cannot_play_its_part_is_refused(tmp_path, data, message):
    write_parquet(tmp_path / "a.parquet", EVERY_TYPE)
    with pytest.raises(DataError, match=message):
        bind(tmp_path, **data)


@pytest.mark.parametrize(
    "condition", [["number", "==", "x"], ["text", "<", 3], ["day", ">", 1.5], ["count", "in", ["a"]]]
)
def test_a_filter_value_of_another_type_than_the_column_is_refused(tmp_path, condition):
    write_parquet(tmp_path / "a.parquet", EVERY_TYPE)
    with pytest.raises(DataError, match=rf"data\.filter .*does not fit the column '{condition[0]}' of type"):
        bind(tmp_path, filter=[condition])


def test_a_category_that_is_no_feature_is_refused(tmp_path):
    write_parquet(tmp_path / "a.parquet", EVERY_TYPE)
    with pytest.raises(DataError, match=r"data\.categorical names colour, which is no feature"):
        bind(tmp_path, categorical={"colour": "auto"})


def test_no_usable_feature_is_an_error_that_lists_the_columns(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"y": [1.0], "day": [date(2013, 1, 1)]})
    with pytest.raises(DataError, match="no usable feature column: the data has y, day"):
        bind(tmp_path)


def test_every_file_is_checked_and_the_first_bad_one_named(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"x": [1.0], "y": [2.0]})
    write_parquet(tmp_path / "b.parquet", {"x": ["one"], "y": [2.0]})
    with pytest.raises(DataError, match=r"b\.parquet: the feature 'x' has type string.*data\.categorical"):
        bind(tmp_path)


def test_number_types_may_differ_between_files(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"x": [1], "y": [2.0]})
    write_parquet(tmp_path / "b.parquet", {"y": [2], "x": [1.5]})
    assert bind(tmp_path).features == ("x",)


def test_levels_may_not_be_numbers_in_one_file_and_strings_in_another(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"x": [1], "y": [2.0]})
    write_parquet(tmp_path / "b.parquet", {"x": ["one"], "y": [2.0]})
    with pytest.raises(DataError, match=r"b\.parquet: the values of 'x' are strings, but numbers in .*a\."):
        bind(tmp_path, categorical={"x": "auto"})


def test_an_empty_file_may_have_any_columns(tmp_path):
    write_parquet(tmp_path / "a.parquet", pa.table({"x": pa.array([], pa.null())}))
    write_parquet(tmp_path / "b.parquet", {"x": [1.0], "y": [2.0]})
    assert bind(tmp_path, filter=[["x", ">", 0.0]]).features == ("x",)


def test_check_columns_accepts_what_is_there(tmp_path):
    write_parquet(tmp_path / "k=1" / "a.parquet", {"x": [1.0]})
    manifest = read_manifest([str(tmp_path)])
    check_columns([("x", "feature"), ("k", "feature")], manifest)
    with pytest.raises(DataError, match=r"no column 'q' \(the model needs it\)"):
        check_columns([("q", "the model needs it")], manifest)


FULL = {"x": [1.0, 2.0], "z": [1.0, 2.0], "y": [2.0, 1.0]}


@pytest.mark.parametrize("gap", ["lacks", "null"])
@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_columns_are_the_union_over_all_files_in_any_order(tmp_path, gap, order):
    part = {"x": [1.0], "y": [2.0]} | ({"z": pa.nulls(1)} if gap == "null" else {})
    write_parquet(tmp_path / f"{order[0]}.parquet", pa.table(part).select(sorted(part)))
    write_parquet(tmp_path / f"{order[1]}.parquet", pa.table(FULL).select(["x", "y", "z"]))
    columns = bind(tmp_path)
    assert columns.features == ("x", "z")
    assert columns.skipped == {}


def test_a_column_without_a_value_in_any_file_is_left_out_with_the_reason(tmp_path):
    for name in ("a", "b"):
        write_parquet(tmp_path / f"{name}.parquet", pa.table({"x": [1.0], "y": [2.0], "z": pa.nulls(1)}))
    assert bind(tmp_path).skipped == {"z": "type null: it has no value in any file"}


def test_a_pandas_index_is_no_feature_unless_it_is_named(tmp_path):
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [2.0, 1.0]}, index=pd.Index([5, 3], name="id"))
    frame.to_parquet(tmp_path / "a.parquet")
    frame.set_axis([7, 5], axis="index").to_parquet(tmp_path / "b.parquet")
    columns = bind(tmp_path)
    assert columns.features == ("x",)
    assert columns.skipped == dict.fromkeys(
        ("id", "__index_level_0__"), "the index of a pandas table; name it in data.features to use it"
    )
    assert bind(tmp_path, features=["x", "id"]).features == ("x", "id")
    assert bind(tmp_path, categorical={"id": "auto"}).features == ("x", "id")


def test_a_hive_key_of_one_value_is_left_out_unless_it_is_named(tmp_path):
    write_parquet(tmp_path / "day=1" / "zip=01" / "a.parquet", {"x": [1.0], "y": [2.0]})
    write_parquet(tmp_path / "day=1" / "zip=02" / "a.parquet", {"x": [1.0], "y": [2.0]})
    columns = bind(tmp_path)
    assert columns.features == ("x", "zip")
    assert columns.skipped == {"day": "the folders have one value of it, 1"}
    assert bind(tmp_path, features=["x", "day"]).features == ("x", "day")


def test_a_column_of_files_that_only_validate_is_left_out(tmp_path):
    write_parquet(tmp_path / "train" / "a.parquet", {"x": [1.0], "y": [2.0]})
    write_parquet(tmp_path / "held" / "a.parquet", FULL)
    validation = {"method": "path", "path": str(tmp_path / "held")}
    data = DataSpec(path=str(tmp_path / "train"), target="y", validation=validation)
    columns = bind_columns(data, read_manifest(data.paths, data.validation.paths))
    assert columns.features == ("x",)
    assert columns.skipped == {"z": "only files that validate have it"}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_text_without_a_mark_is_a_category_where_it_is_named(tmp_path, kind):
    write_parquet(tmp_path / "a.parquet", pa.table({"x": [1.0], "c": pa.array([b"a"], kind), "y": [2.0]}))
    assert "named under data.categorical" in bind(tmp_path).skipped["c"]
    assert bind(tmp_path, categorical={"c": "auto"}).by_kind()["categorical"] == ("c",)
