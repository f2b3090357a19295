"""The exact pass in reader processes: the bits of the pass in this process, and its errors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from linreg_dist.data.readers import pool as reader_pool
from linreg_dist.training.reading import readers
from linreg_dist.training.reading.readers import VARIABLE
from tests.parts import write_parts

Fit = Callable[..., tuple[lr.Run, int]]


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """Fit, in readers or not; return the run and how many processes there were."""

    numbers = itertools.count()

    def run(where: str, path: Path, **data: Any) -> tuple[lr.Run, int]:
        monkeypatch.setenv(VARIABLE, where)
        monkeypatch.setenv("LINREG_DIST_KERNELS", "native")
        started = []

        class Counted(reader_pool.ReaderProcess):
            def __init__(self, task: Any) -> None:
                super().__init__(task)
                started.append(self.pid)

        monkeypatch.setattr(reader_pool, "ReaderProcess", Counted)
        spec = {
            "version": 1,
            "name": f"{where}-{next(numbers)}",
            "data": {"path": str(path), "target": "y", "missing": "drop", **data},
            "solver": {"name": "exact"},
            "scaling": {"memory_budget": 0, "disk_budget": 0},
            "run": {"storage_path": str(tmp_path / "runs")},
            "outputs": {"report": False},
        }
        return lr.train(spec), len(started)

    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(2):
        columns: dict[str, Any] = {name: rng.normal(size=4000).astype(np.float32) for name in ("a", "b")}
        columns["n"] = rng.integers(0, 100, 4000).astype(np.int16)
        columns["w"] = rng.uniform(0.5, 2, 4000).astype(np.float32)
        columns["y"] = (columns["a"] - columns["b"] + rng.normal(size=4000)).astype(np.float32)
        columns["c"] = rng.choice(["red", "green", "blue"], 4000)
        columns["gaps"] = [None if i % 7 == number else float(i % 5) for i in range(4000)]
        pq.write_table(pa.table(columns), folder / f"{number}.parquet", row_group_size=1500)
    return folder


def found(run: lr.Run) -> tuple[Any, ...]:
    result = {key: run.result[key] for key in ("rows", "metrics")}
    statistics = (run.path / "statistics.safetensors").read_bytes()
    model = run.model
    return json.dumps(result), model.coef_.tobytes(), float(model.intercept_), len(statistics)


@pytest.mark.slow  # starts six reader processes
def test_readers_give_the_bits_of_this_process_for_columns_of_any_kind(fit: Fit, path: Path):
    numbers = {"features": ["a", "b", "n"], "weight": "w"}
    every = {"features": ["a", "b", "n", "c", "gaps"], "filter": [["n", "<", 90]]}
    for data in (numbers, every):
        data["validation"] = {"method": "hash", "fraction": 0.2}
        theirs, processes = fit("always", path, **data)
        assert processes >= 1
        mine, none = fit("never", path, **data)
        assert none == 0
        assert found(theirs) == found(mine)
        assert theirs.result["data"]["bytes_read"] == mine.result["data"]["bytes_read"] > 0


@pytest.mark.slow  # starts reader processes
def test_a_file_that_cannot_be_read_is_the_same_error_from_readers(fit: Fit, path: Path):
    file = path / "1.parquet"
    content = bytearray(file.read_bytes())
    content[4:40] = b"\xff" * 36
    file.write_bytes(content)
    told = []
    for where in ("always", "never"):
        with pytest.raises(lr.DataError) as caught:
            fit(where, path, features=["a", "b"])
        told.append(str(caught.value))
    assert told[0] == told[1]
    assert "1.parquet (row group 0)" in told[0]


def test_small_data_starts_no_reader_and_an_unknown_choice_is_refused(fit: Fit, path: Path):
    assert fit("auto", path, features=["a", "b"])[1] == 0
    with pytest.raises(lr.SpecError, match=rf"{readers.VARIABLE} is 'perhaps'; expected one of auto, always"):
        fit("perhaps", path, features=["a", "b"])


@pytest.mark.slow  # starts reader processes on 160 MB of rows
def test_a_readers_memory_is_three_row_groups_for_any_number_of_rows(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    rows, features = 100_000, 64
    group_bytes, peaks = rows * (features + 1) * 4, []
    kill = reader_pool.ReaderProcess.kill

    def measured(self: reader_pool.ReaderProcess) -> None:
        status = Path(f"/proc/{self.pid}/status").read_text()
        peaks.extend(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM:"))
        kill(self)

    monkeypatch.setattr(reader_pool.ReaderProcess, "kill", measured)
    write_parts(tmp_path / "tiny", [2000, 2000], num_features=features)
    write_parts(tmp_path / "large", [3 * rows, 3 * rows], num_features=features, row_group_size=rows)
    fit("always", tmp_path / "tiny")
    loaded = max(peaks)  # what a reader takes for its libraries
    peaks.clear()
    fit("always", tmp_path / "large")
    grown = max(peaks) - loaded
    print(
        f"a reader: {loaded >> 20} MiB of libraries, {grown >> 20} MiB for row groups of {group_bytes >> 20}"
    )
    assert group_bytes < grown < 3 * group_bytes + (128 << 20)
