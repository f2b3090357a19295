from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save as save_tensors
from stats_blocks import moments_of

from linreg_dist.errors import DataError
from linreg_dist.stats.artefact import (
    Artefact,
    from_bytes,
    load_artefact,
    merge_artefacts,
    save_artefact,
    subtract_artefacts,
    to_bytes,
)
from linreg_dist.stats.solve import solve

SCHEMA = {"columns": ["a", "b", "y"]}


def artefact(day, n=40, **changes):
    rng = np.random.default_rng(day)
    x, w = rng.normal(size=(n, 2)) + day, rng.uniform(0.5, 2, size=n)
    y = x @ [1.0, 2.0] + rng.normal(size=n)
    names = {"feature_names": ["a", "b"], "target_names": ["y"]}
    parts = [moments_of(x[i::2], y[i::2], w[i::2], **names) for i in range(2)]
    pieces = tuple({"digest": f"day{day}", "row_group": i} for i in range(3))
    made = Artefact(
        moments_of(x, y, w, **names), tuple(parts), SCHEMA, {"a": None}, pieces, {"job": "flights"}
    )
    return replace(made, **changes)


def assert_same_moments(a, b, rtol=0.0):
    assert (a.n, a.n_zero_weight) == (b.n, b.n_zero_weight)
    assert [a.sum_w, a.sum_w2, a.sum_log_w] == pytest.approx([b.sum_w, b.sum_w2, b.sum_log_w], rel=1e-12)
    np.testing.assert_allclose(a.cross, b.cross, rtol=rtol, atol=rtol * 100)
    np.testing.assert_allclose(a.mean, b.mean, rtol=rtol, atol=rtol)


def test_saving_and_loading_loses_nothing(tmp_path):
    before = artefact(1)
    save_artefact(before, tmp_path / "new" / "statistics.safetensors")
    after = load_artefact(tmp_path / "new" / "statistics.safetensors")
    assert_same_moments(after.moments, before.moments)
    for a, b in zip(after.folds, before.folds, strict=True):
        assert_same_moments(a, b)
    assert after.moments.feature_names == ("a", "b")
    assert (after.schema, after.encodings, after.consumed, after.extra) == (
        before.schema,
        before.encodings,
        before.consumed,
        before.extra,
    )


def test_the_file_is_plain_safetensors_with_readable_metadata(tmp_path):
    path = tmp_path / "statistics.safetensors"
    save_artefact(artefact(1), path)
    with safe_open(path, framework="np") as file:
        metadata = json.loads(file.metadata()["linreg_dist"])
        assert file.get_tensor("cross").dtype == np.float64
    assert metadata["feature_names"] == ["a", "b"]
    assert metadata["consumed"][0] == {"digest": "day1", "row_group": 0}


def test_the_same_artefact_gives_the_same_bytes():
    assert to_bytes(artefact(1)) == to_bytes(from_bytes(to_bytes(artefact(1)), "memory"))


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "statistics.safetensors"
    save_artefact(artefact(1), path)

    def no_space(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        save_artefact(artefact(2), path)
    assert load_artefact(path).consumed == artefact(1).consumed
    assert [p.name for p in tmp_path.iterdir()] == ["statistics.safetensors"]


def test_merging_days_equals_one_pass_over_all(tmp_path):
    merged = merge_artefacts(merge_artefacts(artefact(1), artefact(2)), artefact(3))
    assert merged.moments.n == 120
    assert len(merged.consumed) == 9
    assert_same_moments(
        merged.moments,
        artefact(1).moments.merged(artefact(2).moments.merged(artefact(3).moments)),
        rtol=1e-12,
    )
    assert merged.folds[0].n == 60


def test_subtracting_a_day_leaves_the_others():
    both = merge_artefacts(artefact(1), artefact(2))
    rest = subtract_artefacts(both, artefact(1))
    assert_same_moments(rest.moments, artefact(2).moments, rtol=1e-10)
    assert rest.consumed == artefact(2).consumed
    want, got = solve(artefact(2).moments), solve(rest.moments)
    np.testing.assert_allclose(got.coef, want.coef, rtol=1e-10)
    assert_same_moments(rest.folds[1], artefact(2).folds[1], rtol=1e-10)


def test_overlapping_data_are_not_merged_and_the_pieces_are_named():
    shared = replace(artefact(2), consumed=(*artefact(2).consumed, {"row_group": 1, "digest": "day1"}))
    with pytest.raises(DataError, match=r'overlap: 1 piece.*\{"digest":"day1","row_group":1\}'):
        merge_artefacts(artefact(1), shared)


def test_what_is_not_contained_is_not_subtracted_and_is_named():
    with pytest.raises(DataError, match=r'3 piece\(s\) of data are not in the left side .*"digest":"day2"'):
        subtract_artefacts(artefact(1), artefact(2))


@pytest.mark.parametrize("combine", [merge_artefacts, subtract_artefacts])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"encodings": {"a": ["x", "y"]}}, 'different encodings: {"a":null} against {"a":["x","y"]}'),
        ({"schema": {"columns": ["a"]}}, "different schema"),
        ({"folds": ()}, "2 and with 0 folds"),
    ],
)
def test_statistics_of_another_kind_are_refused(combine, change, text):
    with pytest.raises(DataError) as caught:
        combine(artefact(1), artefact(2, **change))
    assert text in str(caught.value)


def test_a_piece_listed_twice_is_refused():
    twice = artefact(1, consumed=("a", "a"))
    with pytest.raises(DataError, match="1 piece"):
        to_bytes(twice)


def test_a_missing_foreign_damaged_or_newer_file_is_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"cannot read statistics from .*absent"):
        load_artefact(tmp_path / "absent")
    good = to_bytes(artefact(1))
    (tmp_path / "text").write_bytes(b"hello, this is no such file at all")
    (tmp_path / "other").write_bytes(save_tensors({"w": np.ones(2)}))
    (tmp_path / "short").write_bytes(good[:-8])
    (tmp_path / "newer").write_bytes(good.replace(b'\\"version\\": 1', b'\\"version\\": 9'))
    for name, text in [
        ("text", "is not a statistics file"),
        ("other", "is not a statistics file"),
        ("short", "is damaged"),
        ("newer", "version 9; this program reads linreg_dist.statistics version 1"),
    ]:
        with pytest.raises(DataError, match=text):
            load_artefact(tmp_path / name)


def test_held_out_rows_travel_with_the_statistics(tmp_path):
    left, right = (artefact(day, validation=artefact(day + 10).moments) for day in (1, 2))
    save_artefact(merge_artefacts(left, right), tmp_path / "m.safetensors")
    merged = load_artefact(tmp_path / "m.safetensors")
    assert merged.validation.n == left.validation.n + right.validation.n
    rest = subtract_artefacts(merged, right)
    np.testing.assert_allclose(rest.validation.cross, left.validation.cross, rtol=1e-9, atol=1e-9)
    with pytest.raises(DataError, match="only one has the moments of its validation rows"):
        merge_artefacts(left, artefact(2))


def test_equal_content_is_the_same_data_under_any_name():
    left = artefact(1, consumed=({"file": "a.parquet", "content": "c1"},))
    moved = artefact(2, consumed=({"file": "elsewhere/a.parquet", "content": "c1"},))
    with pytest.raises(DataError, match=r"overlap: 1 piece.*a\.parquet"):
        merge_artefacts(left, moved)
    with pytest.raises(DataError, match="not in the left side"):  # its rows may be split in another way there
        subtract_artefacts(left, moved)


def _parts(*ranges, content="c1", file="a.parquet"):
    return ({"file": file, "content": content, "row_groups": [list(r) for r in ranges]},)


def test_parts_of_one_file_merge_when_they_are_disjoint_and_are_refused_when_not():
    first, second = artefact(1, consumed=_parts((0, 3))), artefact(2, consumed=_parts((3, 5), (7, 9)))
    merged = merge_artefacts(first, second)
    assert merged.moments.n == first.moments.n + second.moments.n
    for ranges in ([(2, 3)], [(8, 12)], [(0, 1), (6, 7)], [(0, 100)]):
        with pytest.raises(DataError, match=r"overlap: [12] piece"):
            merge_artefacts(merged, artefact(3, consumed=_parts(*ranges, file="moved.parquet")))
    for whole in ({"content": "c1"}, {"content": "c1", "row_groups": 2}):  # as older files have it
        with pytest.raises(DataError, match=r"overlap: 2 piece\(s\)"):
            merge_artefacts(merged, artefact(3, consumed=(whole,)))
    assert len(merge_artefacts(merged, artefact(3, consumed=_parts((5, 7)))).consumed) == 3
    assert subtract_artefacts(merged, second).consumed == first.consumed
    with pytest.raises(DataError, match="in other parts: subtract whole pieces"):
        subtract_artefacts(merged, artefact(2, consumed=_parts((3, 5))))


def test_a_number_of_row_groups_is_all_of_them():
    old, new = {"file": "a", "content": "c", "row_groups": 4}, {"file": "a", "content": "c"}
    both = merge_artefacts(artefact(1, consumed=(old,)), artefact(2, consumed=_parts((0, 2))))
    rest = subtract_artefacts(both, artefact(1, consumed=({**new, "row_groups": [[0, 4]]},)))
    assert rest.consumed == _parts((0, 2))
