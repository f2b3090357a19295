"""Enormous row groups are read in slices: the same rows, the same fit, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist import LinearModel, Run
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.source import slices
from linreg_dist.data.source.manifest import Manifest, read_manifest
from linreg_dist.data.source.slices import in_slices
from linreg_dist.errors import DataError
from linreg_dist.verbs.score import evaluate, predict
from tests.parquet import linear_columns, write_parquet

ROWS = 4000
LAYOUTS = st.fixed_dictionaries(
    {
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "compression": st.sampled_from(["none", "snappy", "gzip", "zstd", "lz4"]),
        "data_page_size": st.sampled_from([100, 5_000, 1 << 30]),
        "write_batch_size": st.sampled_from([64, 1024]),
        "dictionary_pagesize_limit": st.sampled_from([200, 1 << 20]),
        "write_page_checksum": st.booleans(),
        "write_page_index": st.booleans(),
        "write_statistics": st.booleans(),
    }
)
ENCODINGS = {
    "x": "BYTE_STREAM_SPLIT",
    "i": "DELTA_BINARY_PACKED",
    "text": "DELTA_BYTE_ARRAY",
    "s": "DELTA_LENGTH_BYTE_ARRAY",
}


def odd_table(rows: int = ROWS) -> pa.Table:
    """Columns of many types, with nulls."""
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "x": rng.normal(size=rows),
            "i": pa.array(rng.integers(0, 100, rows), mask=rng.random(rows) < 0.1),
            "s": pa.array([f"v{j % 5}" for j in range(rows)]),
            "text": pa.array([None if j % 9 == 0 else f"text {j}" for j in range(rows)]),
            "emb": pa.array([[1.0, 2.0, j] for j in range(rows)], pa.list_(pa.float32(), 3)),
            "lists": pa.array([[1.0] * (j % 3) for j in range(rows)]),
            "flag": pa.array(rng.random(rows) < 0.5),
        }
    )


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let row groups of a few kilobytes count as enormous."""
    monkeypatch.setattr(slices, "ENORMOUS_BYTES", 5_000)
    monkeypatch.setattr(slices, "SLICE_BYTES", 3_000)


def read_all(manifest: Manifest, names: list[str], dictionary: tuple[str, ...] = ()) -> pa.Table:
    """Read all row groups, and undo their dictionaries."""
    reader = RowGroupReader(manifest, names, dictionary)
    tables = []
    for group in manifest.row_groups:
        table = reader.read(group).select(names)
        plain = [c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c for c in table.columns]
        tables.append(pa.table(plain, names=names))
    return pa.concat_tables(tables)


@pytest.mark.slow  # 25 files of many pages
@given(layout=LAYOUTS, encoded=st.booleans())
@settings(max_examples=25, deadline=None)
def test_slices_hold_the_rows_of_their_row_group_however_it_is_laid_out(
    layout: dict[str, Any], encoded: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    table, path = odd_table(), tmp_path_factory.mktemp("layout") / "a.parquet"
    how = layout | ({"use_dictionary": False, "column_encoding": ENCODINGS} if encoded else {})
    pq.write_table(table, path, row_group_size=3 * ROWS // 4, **how)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "ENORMOUS_BYTES", 50_000)
        patch.setattr(slices, "SLICE_BYTES", 20_000)
        manifest = in_slices(read_manifest([str(path)]), table.column_names)
    assert len(manifest.row_groups) > manifest.count_row_groups() == 2
    assert read_all(manifest, table.column_names, ("s", "text")).equals(table)


def test_row_groups_of_the_usual_sizes_are_no_slices(tmp_path: Path) -> None:
    manifest = read_manifest([str(write_parquet(tmp_path / "a.parquet", linear_columns()))])
    assert in_slices(manifest, manifest.schema.names) is manifest


def test_deleted_rows_are_left_out_of_each_slice(tmp_path: Path, tiny: None) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"x": np.arange(3000)}, row_group_size=2000)
    whole = read_manifest([str(path)])
    deleted = np.array([0, 1, 700, 1999, 2000, 2600, 2999])
    file = replace(whole.files[0], deleted=deleted, num_rows=2993)
    first, second = whole.row_groups
    groups = (
        replace(first, num_rows=1996, stored=(0, 2000)),
        replace(second, num_rows=997, first_row=1996, stored=(2000, 3000)),
    )
    manifest = in_slices(replace(whole, files=(file,), row_groups=groups), ["x"])
    assert len(manifest.row_groups) > 2
    assert [group.first_row for group in manifest.row_groups] == [
        sum(group.num_rows for group in manifest.row_groups[:place])
        for place in range(len(manifest.row_groups))
    ]
    left = np.delete(np.arange(3000), deleted)
    assert read_all(manifest, ["x"])["x"].to_pylist() == left.tolist()


def test_a_dot_in_the_name_of_a_column_is_no_struct(tmp_path: Path, tiny: None) -> None:
    table = pa.table(
        {"x.y": np.arange(3000), "x": np.arange(3000) * 2.0, "s.t": [f"{j % 7}" for j in range(3000)]}
    )
    write_parquet(tmp_path / "a.parquet", table)
    manifest = in_slices(read_manifest([str(tmp_path)]), table.column_names)
    assert len(manifest.row_groups) > 1
    assert read_all(manifest, table.column_names, ("s.t",)).equals(table)


def test_a_slice_of_columns_that_the_file_lacks_has_its_rows(tmp_path: Path, tiny: None) -> None:
    write_parquet(tmp_path / "k=1" / "a.parquet", {"x": np.arange(3000)})
    manifest = in_slices(read_manifest([str(tmp_path)]), ["x", "k"])
    assert len(manifest.row_groups) > 1
    assert read_all(manifest, ["k"]).num_rows == 3000


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_damaged_page_is_an_error_or_leaves_the_rows_as_they_were(
    tmp_path: Path, tiny: None, version: str
) -> None:
    table, path = odd_table(1000).select(["x", "i", "s"]), tmp_path / "a.parquet"
    how: dict[str, Any] = {"data_page_version": version, "data_page_size": 500, "write_page_checksum": True}
    pq.write_table(table, path, write_batch_size=50, **how)
    good = path.read_bytes()
    manifest = in_slices(read_manifest([str(path)]), table.column_names)
    footer = int.from_bytes(good[-8:-4], "little") + 8
    rng, refused = np.random.default_rng(0), 0
    for _ in range(120):
        bad = bytearray(good)
        bad[rng.integers(4, len(good) - footer)] ^= 1 << int(rng.integers(8))
        path.write_bytes(bad)
        try:
            assert read_all(manifest, table.column_names).num_rows == 1000
        except DataError as error:
            refused += "a.parquet (row group 0, rows " in str(error)
    assert refused > 60


@pytest.mark.parametrize(
    "solver",
    [{"name": "exact"}, pytest.param({"name": "lbfgs"}, marks=pytest.mark.slow)],  # torch and its passes
)
def test_one_enormous_row_group_gives_the_model_of_many_small_ones(
    tmp_path: Path, train_here: Callable[..., Run], tiny: None, solver: dict[str, Any]
) -> None:
    columns = linear_columns(2000) | {"c": [f"l{j % 4}" for j in range(2000)]}
    one = write_parquet(tmp_path / "one" / "d.parquet", columns)
    many = write_parquet(tmp_path / "many" / "d.parquet", columns, row_group_size=100)
    runs = [train_here(path, name=path.parent.name, solver=solver) for path in (one, many)]
    models = [LinearModel.load(run.path / "model") for run in runs]
    np.testing.assert_allclose(models[0].coef_, models[1].coef_, rtol=1e-4, atol=1e-6)
    data = runs[0].document.data
    assert data is not None
    assert (data.row_groups, runs[0].document.rows) == (1, runs[1].document.rows)
    assert evaluate(runs[0].model, str(one)).metrics.mse == pytest.approx(
        evaluate(runs[0].model, str(many)).metrics.mse
    )
    predicted = []
    for path in (one, many):
        predict(runs[0].model, str(path), tmp_path / f"out-{path.parent.name}")
        predicted.append(pq.read_table(tmp_path / f"out-{path.parent.name}")["prediction"].to_numpy())
    np.testing.assert_allclose(predicted[0], predicted[1], rtol=1e-12)


BOUNDED = """
import json, sys
import linreg_dist as lr
from linreg_dist.data.source import slices
slices.ENORMOUS_BYTES, slices.SLICE_BYTES = 64 << 20, 16 << 20
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024
path, small = sys.argv[1:]
def train(data, name):
    return lr.train({"name": name, "data": {"path": data, "target": "y"}, "outputs": {"report": False},
        "scaling": {"memory_budget": 0, "disk_budget": 0}, "run": {"storage_path": small + "-runs"}})
train(small, "small")
before = peak()
run = train(path, "large")
print(json.dumps([peak() - before, run.document.rows.train, float(run.model.coef_[0])]))
"""


@pytest.mark.slow  # 300 MB of data are written and read
def test_the_memory_for_an_enormous_row_group_is_that_of_its_slices(tmp_path: Path) -> None:
    rows = 6_000_000
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, rows))
    table = pa.table({f"x{j}": x[j] for j in range(5)} | {"y": x[0] * 2})
    pq.write_table(table, tmp_path / "d.parquet", row_group_size=rows, use_dictionary=False)
    write_parquet(tmp_path / "small.parquet", linear_columns())
    decoded = table.nbytes
    assert pq.read_metadata(tmp_path / "d.parquet").num_row_groups == 1
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(tmp_path / "d.parquet"), str(tmp_path / "small.parquet")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    grown, trained, slope = json.loads(done.stdout.strip().splitlines()[-1])
    assert 0.7 * rows < trained < 0.9 * rows
    assert slope == pytest.approx(2)
    assert grown < decoded / 2
