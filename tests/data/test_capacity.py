"""What cannot be held is refused with its size, before it is tried."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from linreg_dist import limits
from linreg_dist.data.capacity import at_once, decoded_nbytes, require_room, value_nbytes
from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.errors import LimitError
from linreg_dist.limits import MemoryLimit
from linreg_dist.verbs.inspect import inspect
from linreg_dist.verbs.score import evaluate, predict
from tests.fuzz.verbs import verb as call

ROWS = 15_000_000


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of some hundred kilobytes with one row group of 360 MB."""
    path = tmp_path_factory.mktemp("bomb") / "bomb.parquet"
    zeros = pa.array(np.zeros(ROWS))
    pq.write_table(pa.table({"x": zeros, "z": zeros, "y": zeros}), path, row_group_size=ROWS)
    assert path.stat().st_size < 1 << 20
    return path


@pytest.fixture
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "available_memory", lambda: MemoryLimit(300 << 20, "this machine"))


def job(bomb: Path, tmp_path: Path, **more: Any) -> dict[str, Any]:
    data = {"path": str(bomb), "target": "y", "validation": {"method": "none"}}
    return {"data": data, "run": {"storage_path": str(tmp_path)}, "outputs": {"report": False}, **more}


@pytest.mark.parametrize("solver", ["exact", "lbfgs", "sgd"])
@pytest.mark.usefixtures("small_machine")
def test_a_row_group_that_does_not_fit_is_refused_by_its_rows(
    solver: str, bomb: Path, tmp_path: Path
) -> None:
    with pytest.raises(LimitError) as caught:
        lr.train(job(bomb, tmp_path, solver={"name": solver}))
    message = str(caught.value)
    assert message.startswith(f"{bomb} (row group 0) has 15,000,000 rows, which takes at least 0.")
    assert "this machine leaves 0.3 GiB; write the data with smaller row groups" in message


def test_scoring_refuses_it_too(bomb: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3))
    pq.write_table(pa.table(dict(zip("xzy", rows.T, strict=True))), tmp_path / "rows.parquet")
    run = lr.train(job(tmp_path / "rows.parquet", tmp_path))
    request.getfixturevalue("small_machine")
    for score in (
        lambda: evaluate(run.path, str(bomb)),
        lambda: predict(run.path, str(bomb), tmp_path / "out"),
    ):
        with pytest.raises(LimitError, match="has 15,000,000 rows, which takes at least"):
            score()
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


@pytest.mark.usefixtures("small_machine")
def test_inspect_counts_rows_and_not_the_bytes_on_disk(bomb: Path) -> None:
    found = inspect(str(bomb))
    assert found.row_groups.bytes_max >= 3 * 8 * ROWS
    advice = " ".join(found.advice)
    assert "opened and planned on its own" not in advice
    assert "no worker on this machine can hold the largest row group: 300 MiB are free" in advice


@pytest.mark.usefixtures("small_machine")
def test_sums_of_too_many_columns_and_folds_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(size=50) for i in range(300)} | {"y": rng.normal(size=50)}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    small = job(tmp_path / "rows.parquet", tmp_path)
    lr.train({**small, "name": "fits"})
    with pytest.raises(LimitError, match="sums over 300 columns after encoding in 1,000 folds and 1 lanes"):
        lr.train({**small, "tune": {"l2": [0.1], "folds": 1000}})


def test_the_message_says_which_limit_it_is() -> None:
    program = """
import resource
from linreg_dist.data.capacity import require_room
from linreg_dist.errors import LimitError
pages = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (pages + (512 << 20), resource.RLIM_INFINITY))
try:
    require_room(600 << 20, "it", "think")
except LimitError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=60, capture_output=True, text=True
    )
    assert done.stdout.startswith("it takes at least 0.6 GiB of memory, and ulimit -v (")
    assert done.stdout.endswith(" leaves 0.5 GiB; think\n")


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True, False] * 500),
        pa.array(range(1000), pa.int16()),
        pa.array(np.arange(1000.0)),
        pa.array(np.arange(1000, dtype=np.float32)),
        pa.array([date(2020, 1, 1)] * 1000),
        pa.array([1] * 1000, pa.decimal128(10, 2)),
        pa.array(["abcdef"] * 1000),
        pa.array(["abcdef"] * 1000).dictionary_encode(),
        pa.array([[1.0, 2.0]] * 1000),
    ],
    ids=lambda values: str(values.type),
)
def test_no_column_takes_less_than_is_counted(values: pa.Array) -> None:
    counted = value_nbytes(values.type) * len(values)
    assert 0 < counted <= values.nbytes


def test_only_columns_that_are_read_count(bomb: Path) -> None:
    manifest = read_manifest([str(bomb)])
    (group,) = manifest.row_groups
    assert decoded_nbytes(manifest, group) == 3 * 8 * ROWS
    assert decoded_nbytes(manifest, group, ["x", "elsewhere"]) == 8 * ROWS


def test_as_many_are_held_at_once_as_fit_and_one_in_any_case(small_machine: None) -> None:
    assert at_once(1, 7) == 7
    assert at_once(100 << 20, 7) == 2
    assert at_once(1 << 40, 7) == 1
    require_room(200 << 20, "what is small", "is always tried")


def test_after_sums_that_were_too_large_another_solver_needs_no_fresh_start(
    tmp_path: Path, small_machine: None
) -> None:
    rng = np.random.default_rng(0)
    columns = {"level": [f"{i % 300}" for i in range(400)], "y": rng.normal(size=400)}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    large = job(tmp_path / "rows.parquet", tmp_path, name="r", tune={"l2": [0.1], "folds": 1000})
    with pytest.raises(LimitError) as raised:
        lr.train(large)
    assert raised.value.exit_code == 1
    result = json.loads((tmp_path / "r" / "result.json").read_text())
    assert (result["status"], result["error"]["exit_code"]) == ("failed", 1)
    corrected = lr.train(job(tmp_path / "rows.parquet", tmp_path, name="r", model={"l2": 0.1}))
    assert corrected.result["status"] == "succeeded"


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict"])
def test_the_command_ends_with_exit_code_1_and_the_limit(
    bomb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3))
    pq.write_table(pa.table(dict(zip("xzy", rows.T, strict=True))), tmp_path / "rows.parquet")
    run = lr.train(job(tmp_path / "rows.parquet", tmp_path))
    (tmp_path / "job.json").write_text(json.dumps(job(bomb, tmp_path, name="large")))
    limit = MemoryLimit(300 << 20, "the memory that SLURM gave to the job")
    monkeypatch.setattr(limits, "available_memory", lambda: limit)
    arguments = {
        "train": ["train", tmp_path / "job.json"],
        "evaluate": ["evaluate", run.path, "--data", bomb],
        "predict": ["predict", run.path, "--data", bomb, "--output", tmp_path / "out"],
    }
    done = call(*arguments[verb])
    assert done.code == 1, done
    assert "of memory, and the memory that SLURM gave to the job leaves 0.3 GiB" in done.err
    assert "Traceback" not in done.err
