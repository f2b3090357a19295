from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pytest

from linreg_dist.data.rows import hash_split, missing_report
from tests.data.reading import open_data_set
from tests.parquet import write_parquet

HASH = {"method": "hash", "fraction": 0.2, "seed": 0}


def numbered(num_rows: int, start: int = 0) -> dict[str, np.ndarray]:
    """Rows that can be told apart by their y."""
    return {"x": np.linspace(0.0, 1.0, num_rows), "y": np.arange(start, start + num_rows, dtype=float)}


def held_out(path, **validation):
    return open_data_set(path, validation={**HASH, **validation}).values("y", "validation")


def test_the_hash_split_is_the_same_for_any_row_groups(tmp_path):
    path = tmp_path / "a.parquet"
    splits = []
    for row_group_size in (None, 1000, 97, 1):
        write_parquet(path, numbered(1000), row_group_size=row_group_size)
        splits.append(held_out(path))
    assert splits[0]
    assert all(split == splits[0] for split in splits)


def test_the_hash_split_stays_when_files_are_added_and_when_the_data_moves(tmp_path):
    write_parquet(tmp_path / "old" / "b.parquet", numbered(500))
    before = held_out(tmp_path / "old")
    write_parquet(tmp_path / "old" / "a.parquet", numbered(300, start=10_000))
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert [y for y in held_out(tmp_path / "new") if y < 10_000] == before


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.99])
def test_the_hash_split_holds_out_its_fraction(fraction):
    n = 100_000
    share = hash_split("part-0.parquet", 0, n, fraction, seed=3).mean()
    assert abs(share - fraction) < 4.0 * np.sqrt(fraction * (1 - fraction) / n)


def test_hash_splits_of_files_and_seeds_are_independent():
    first, second, reseeded = (
        hash_split(key, 0, 50_000, 0.5, seed) for key, seed in (("a", 0), ("b", 0), ("a", 1))
    )
    for other in (second, reseeded):
        assert abs(np.mean(first & other) - 0.25) < 0.02


def test_neighbouring_rows_are_split_independently():
    split = hash_split("a", 0, 100_000, 0.5, 0)
    for lag in (1, 2, 8, 64):
        assert abs(np.corrcoef(split[:-lag], split[lag:])[0, 1]) < 0.02


def test_train_and_validation_are_all_rows_once(tmp_path):
    write_parquet(tmp_path / "a.parquet", numbered(1000), row_group_size=64)
    opened = open_data_set(tmp_path, validation=HASH)
    train, validation = opened.values("y", "train", shuffle=True), opened.values("y", "validation")
    assert sorted(train + validation) == numbered(1000)["y"].tolist()
    assert validation == sorted(validation)


def test_shuffling_permutes_within_a_row_group_and_depends_on_the_seed_alone(tmp_path):
    write_parquet(tmp_path / "a.parquet", numbered(200), row_group_size=100)
    opened = open_data_set(tmp_path)
    plain = opened.values("y", "train")
    shuffled = opened.values("y", "train", shuffle=True, seed=1)
    assert plain == sorted(plain)
    assert shuffled != plain
    assert sorted(shuffled[:100]) == plain[:100]
    assert shuffled == opened.values("y", "train", shuffle=True, seed=1)
    assert shuffled != opened.values("y", "train", shuffle=True, seed=2)


@pytest.mark.parametrize(
    "marks", [[True, False, None, True], [1, 0, None, 7], [1.0, 0.0, float("nan"), -1.0]]
)
def test_method_column_holds_out_the_marked_rows(tmp_path, marks):
    write_parquet(
        tmp_path / "a.parquet", {"x": [0.0] * 4, "y": [0.0, 1.0, 2.0, 3.0], "held": pa.array(marks)}
    )
    opened = open_data_set(tmp_path, validation={"method": "column", "column": "held"})
    assert opened.values("y", "validation") == [0.0, 3.0]
    assert opened.values("y", "train") == [1.0, 2.0]


def test_method_path_holds_out_its_files(tmp_path):
    write_parquet(tmp_path / "train" / "a.parquet", numbered(5))
    write_parquet(tmp_path / "held" / "a.parquet", numbered(5, start=100))
    opened = open_data_set(tmp_path / "train", validation={"method": "path", "path": str(tmp_path / "held")})
    assert opened.values("y", "train") == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert opened.values("y", "validation") == [100.0, 101.0, 102.0, 103.0, 104.0]


@pytest.mark.parametrize(
    ("filter_", "kept"),
    [
        ([["y", "<", 3]], [0, 1, 2]),
        ([["y", ">", 1], ["y", "<=", 4]], [2, 3, 4]),
        ([[["y", "==", 0]], [["y", ">", 4], ["s", "==", "b"]]], [0, 5]),
        ([["s", "in", ["b", "z"]]], [1, 3, 5]),
        ([["s", "!=", "b"]], [0, 2]),
        ([["s", "not in", ["b"]]], [0, 2, 4]),  # pyarrow's: null is not in the list
        ([["k", "=", 1]], [0, 1, 2, 3, 4, 5]),
        ([["y", "<", -1]], []),
    ],
)
def test_the_filter_is_an_or_of_ands_with_arrows_rules_for_null(tmp_path, filter_, kept):
    write_parquet(
        tmp_path / "k=1" / "a.parquet",
        {"x": [0.0] * 6, "y": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "s": ["a", "b", "a", "b", None, "b"]},
    )
    opened = open_data_set(tmp_path, features=["x"], filter=filter_)
    ((_, selection),) = opened.selections()
    assert selection.train.tolist() == kept
    assert selection.filtered == 6 - len(kept)


def test_a_category_can_be_filtered_by(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"s": ["a", "b", None, "b"], "y": [0.0, 1.0, 2.0, 3.0]})
    ((_, selection),) = open_data_set(tmp_path, filter=[["s", "==", "b"]]).selections()
    assert selection.train.tolist() == [1, 3]


NAN, INF = float("nan"), float("inf")
HOLES = {
    "x": [1.0, None, NAN, INF, -INF, 6.0, 7.0],
    "n": [1, 2, 3, 4, 5, None, 7],
    "s": [None, "b", "a", "a", "a", "a", "a"],
    "w": [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, None],
    "y": [0.0, 1.0, 2.0, 3.0, NAN, 5.0, 6.0],
}


@pytest.mark.parametrize(
    ("missing", "kept", "dropped"),
    [("error", [], 7), ("drop", [], 7), ("mean", [0, 1, 2, 3, 5], 2)],
)
def test_missing_values_are_counted_by_column_and_dropped_by_rule(tmp_path, missing, kept, dropped):
    write_parquet(tmp_path / "a.parquet", HOLES)
    ((_, selection),) = open_data_set(tmp_path, weight="w", missing=missing).selections()
    assert selection.missing == {"x": 4, "n": 1, "s": 1, "w": 1, "y": 1}
    assert selection.train.tolist() == kept
    assert selection.missing_rows == dropped


def test_only_rows_that_the_filter_kept_count_as_missing(tmp_path):
    write_parquet(tmp_path / "a.parquet", HOLES)
    opened = open_data_set(tmp_path, weight="w", missing="drop", filter=[["y", "<=", 1.0]])
    ((_, selection),) = opened.selections()
    assert selection.missing == {"x": 1, "s": 1}
    assert (selection.filtered, selection.missing_rows) == (5, 2)


def test_a_row_with_a_missing_value_keeps_the_side_of_the_others(tmp_path):
    columns = numbered(1000)
    write_parquet(tmp_path / "a.parquet", columns)
    whole = held_out(tmp_path)
    columns["x"][::3] = NAN
    write_parquet(tmp_path / "a.parquet", columns)
    holed = open_data_set(tmp_path, validation=HASH, missing="drop").values("y", "validation")
    assert holed == [y for y in whole if y % 3]


def test_the_report_of_missing_values_lists_the_worst_column_first():
    assert missing_report({"b": 2, "a": 2, "c": 1234}) == "c (1,234 rows), a (2 rows), b (2 rows)"


def test_a_large_row_group_is_shuffled_from_end_to_end(tmp_path):
    write_parquet(tmp_path / "a.parquet", numbered(70_001))
    rows = np.array(open_data_set(tmp_path).values("y", "train", shuffle=True))
    assert np.array_equal(np.sort(rows), numbered(70_001)["y"])
    assert abs(np.corrcoef(rows, np.arange(len(rows)))[0, 1]) < 0.1
    assert np.mean(np.abs(np.diff(rows)) > 1000) > 0.01
