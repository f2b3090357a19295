"""Scoring on Ray workers: the same files as without, each written by one of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import linreg_dist as lr
from linreg_dist.cli.main import run as call
from linreg_dist.verbs.score import predict
from linreg_dist.verbs.scoring.workers import shares_of

SIZES = [900, 1, 0, 333, 40, 700]


@given(st.lists(st.integers(0, 1000), max_size=40), st.integers(1, 9))
def test_every_file_is_one_workers_and_shares_are_about_equal(rows: list[int], workers: int) -> None:
    manifest: Any = SimpleNamespace(files=[SimpleNamespace(num_rows=number) for number in rows])
    shares = shares_of(manifest, range(len(rows)), workers)
    assert sorted(number for share in shares for number in share) == list(range(len(rows)))
    assert all(share == sorted(share) and share for share in shares)
    assert len(shares) == min(workers, len(rows))
    loads = [sum(rows[number] for number in share) for share in shares]
    assert not loads or max(loads) - min(loads) <= max(rows)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    for part, size in enumerate(SIZES):
        x = draw.normal(size=size)
        folder = tmp_path / "data" / f"part={part}"
        folder.mkdir(parents=True)
        columns = {"x": x, "y": 2 * x + draw.normal(size=size), "id": np.arange(size) + 1000 * part}
        pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=100)
    return tmp_path / "data"


def files(folder: Path) -> dict[str, pa.Table]:
    return {
        str(path.relative_to(folder)): pq.read_table(path, partitioning=None)
        for path in sorted(folder.rglob("*.parquet"))
    }


@pytest.mark.slow  # starts Ray
@pytest.mark.usefixtures("no_ray")
def test_files_are_the_same_as_without_workers_and_errors_are_those_of_the_data(
    data: Path,
    tmp_path: Path,
    train_here: Callable[..., lr.Run],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = train_here(data, data={"features": ["x"]}, outputs={"report": False})
    predict(run.path, str(data), tmp_path / "local", ["id"], interval=0.9)
    monkeypatch.chdir(tmp_path)  # relative paths are the driver's
    capsys.readouterr()
    arguments = ["predict", str(run.path), "--data", "data", "--keep", "id", "--interval", "0.9", "--json"]
    assert call([*arguments, "--output", "out", "--workers", "2"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["files"], said["rows"], said["null_predictions"]) == (len(SIZES), sum(SIZES), 0)
    found, expected = files(tmp_path / "out"), files(tmp_path / "local")
    assert list(found) == list(expected)
    assert all(found[name].equals(expected[name]) for name in expected)
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []

    bad = pa.table({"x": pa.array([1.0, None]), "y": [1.0, 2.0], "id": [1, 2]})
    pq.write_table(bad, data / "part=5" / "rows.parquet")
    assert call([*arguments, "--output", "bad", "--set", "scaling.num_workers=2"]) == 3
    error = capsys.readouterr().err
    assert "part=5/rows.parquet" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "model.l2=1"], "--set model.l2 means nothing to predict"),
        (["--set", "scaling.num_workers=two"], "scaling.num_workers"),
        (["--workers", "-1"], "--workers"),
        (["--workers", "9999"], "9999 workers"),
    ],
)
def test_where_it_cannot_run_is_said_before_anything_is_written(
    data: Path,
    tmp_path: Path,
    train_here: Callable[..., lr.Run],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    run = train_here(data, data={"features": ["x"]}, outputs={"report": False})
    place = ["--data", str(data), "--output", str(tmp_path / "out")]
    assert call(["predict", str(run.path), *place, *arguments]) in (2, 4)
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
