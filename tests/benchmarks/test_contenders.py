from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contender import Contender, Grid, Outcome, Pass, UnavailableError
from benchmarks.contenders import CONTENDERS
from benchmarks.contenders.ours import hide_paths
from benchmarks.grids import GRIDS
from benchmarks.isolate import Record, run_isolated
from benchmarks.pinning import PinnedWorkers
from benchmarks.problems import PROBLEMS, Dataset, Problem, materialise

GRID = Grid("test", problems=(), contenders=(), epochs=2, rounds=1, capped_rows=4_000, timeout_s=120.0)
SPARK = {"spark_lbfgs", "spark_normal"}
ONE_PASS_PEERS = {
    "sklearnex_incremental": "sklearnex",
    "polars_ds_lin_reg": "polars_ds",
    "duckdb_moments": "duckdb",
    "sklearn_in_ram": "sklearn",
}
OPTIONAL = {*SPARK, "vowpal_wabbit", *ONE_PASS_PEERS}
RAY = {name for name in CONTENDERS if "ray" in name}
LEARNING = sorted(name for name in CONTENDERS if not name.startswith("floor") and name not in OPTIONAL | RAY)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNING)
def test_a_contender_learns_in_a_process_of_its_own(name: str, dataset: Dataset) -> None:
    record = run_isolated(CONTENDERS[name], dataset, GRID)
    assert record.status == "ok", record.reason
    assert record.gap is not None
    assert record.mse is not None
    # |beta|² is what predicting the mean of y would leave as gap.
    assert 0.0 <= record.gap < 0.1 * float(np.sum(dataset.optimum[0][1:] ** 2))
    assert record.mse == pytest.approx(dataset.optimum[1] + record.gap)
    assert record.startup_s is not None
    assert record.startup_s > 0
    assert record.teardown_s is not None
    assert record.teardown_s > 0
    assert record.rows_per_s is not None
    assert record.peak_rss_mb is not None
    assert record.train_s is not None
    assert sum(seconds for _, seconds in record.passes) <= record.train_s * 1.01
    expected_cores = CONTENDERS[name].num_cpus or len(os.sched_getaffinity(0))
    assert record.cores == expected_cores
    if name == "tutorial":
        assert [rows for rows, _ in record.passes] == [4_000, 4_000]
        assert "4,000 rows only" in record.note
    elif name in ("ours_exact", "ours_exact_ridge", "ours_tune"):
        assert [rows for rows, _ in record.passes] == [20_000]
        assert record.gap == pytest.approx(0.0, abs=1e-9 if name == "ours_exact" else 0.1)
    elif name != "ours_defaults":  # it holds rows out
        assert [rows for rows, _ in record.passes] == [20_000, 20_000]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ours_exact", *ONE_PASS_PEERS])
def test_what_solves_in_one_pass_has_its_digits_counted(name: str, dataset: Dataset) -> None:
    pytest.importorskip(ONE_PASS_PEERS.get(name, "torch"))
    record = run_isolated(CONTENDERS[name], dataset, replace(GRID, epochs=1, digits=True))
    assert record.status == "ok", record.reason
    assert [rows for rows, _ in record.passes] == [20_000]
    assert record.gap == pytest.approx(0.0, abs=1e-6)
    assert record.digits is not None
    float32 = ("sklearn_in_ram", "sklearnex_incremental")
    assert record.digits > (4.0 if name in float32 else 12.0)


def test_digits_are_those_of_the_worst_coefficient_against_the_largest(dataset: Dataset) -> None:
    intercept, *coef = dataset.reference.tolist()
    assert (dataset.path / "reference.npy").exists()
    np.testing.assert_allclose(dataset.reference, dataset.optimum[0], rtol=1e-10)
    assert dataset.digits(coef, intercept) == 16.0
    largest = max(abs(value) for value in dataset.reference)
    coef[3] += 1e-7 * largest
    assert dataset.digits(coef, intercept) == pytest.approx(7.0, abs=1e-6)
    assert dataset.digits([0.0] * 8, 0.0) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["floor_dgemm", "floor_sgemm"])
def test_the_limit_of_the_arithmetic_is_a_rate(name: str, dataset: Dataset) -> None:
    record = run_isolated(CONTENDERS[name], dataset, GRID)
    assert record.status == "ok", record.reason
    assert len(record.passes) == 2
    assert record.gap is None
    rows, seconds = record.passes[0]
    assert rows >= 20_000
    assert record.extra["gflops"] == pytest.approx(10**2 * rows / seconds / 1e9)


SCANS = [name for name in CONTENDERS if name.startswith("floor") and not name.endswith("gemm")]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCANS)
def test_a_floor_reads_every_row_in_each_pass_and_learns_nothing(name: str, dataset: Dataset) -> None:
    record = run_isolated(CONTENDERS[name], dataset, GRID)
    assert record.status == "ok", record.reason
    assert [rows for rows, _ in record.passes] == [20_000, 20_000]
    assert record.gap is None


@pytest.mark.slow
def test_two_ray_workers_train_and_are_timed_from_the_first_line_of_the_train_function(
    dataset: Dataset,
) -> None:
    record = run_isolated(CONTENDERS["ours_ray_2"], dataset, replace(GRID, timeout_s=200.0))
    assert record.status == "ok", record.reason
    assert record.startup_s is not None
    assert record.startup_s > 1.0  # Ray itself
    assert record.teardown_s is not None
    assert record.teardown_s > 0.0
    assert len(record.passes) == 2
    assert record.gap is not None
    assert record.gap < 1.0
    assert "num_workers: 2" in record.extra["resolved_spec"]


def test_what_fails_in_the_child_becomes_a_record(tmp_path: Path) -> None:
    broken = materialise(Problem("broken", 800, 2), tmp_path)
    broken.files[0].write_bytes(b"not Parquet")
    record = run_isolated(CONTENDERS["floor_1_core"], broken, GRID)
    assert record.status == "failed"
    assert record.reason.startswith("exit status 1: ")
    assert "Parquet magic bytes not found" in record.reason


def test_a_child_that_takes_too_long_is_ended(dataset: Dataset) -> None:
    record = run_isolated(CONTENDERS["ours_all_threads"], dataset, replace(GRID, timeout_s=0.2))
    assert (record.status, record.reason) == ("failed", "not finished after 0.2 s")


def test_a_missing_package_is_reported_as_unavailable(
    monkeypatch: pytest.MonkeyPatch, dataset: Dataset
) -> None:
    monkeypatch.setitem(sys.modules, "vowpalwabbit", None)
    with pytest.raises(UnavailableError, match="pip install vowpalwabbit"):
        CONTENDERS["vowpal_wabbit"].run(dataset, GRID)


def test_grids_name_only_what_exists() -> None:
    for grid in GRIDS.values():
        assert set(grid.problems) <= set(PROBLEMS)
        assert set(grid.contenders) <= set(CONTENDERS)
    assert not (set(GRIDS["smoke"].contenders) & (OPTIONAL | RAY))


def test_rates_separate_the_first_pass_from_the_later_ones() -> None:
    record = Record("p", "c", 0, 100, 2, "ok", passes=[(100, 2.0), (100, 1.0), (100, 0.5)])
    assert record.first_rows_per_s == 50.0
    assert record.later_rows_per_s == pytest.approx(200 / 1.5)
    assert record.rows_per_s == pytest.approx(300 / 3.5)
    assert Record("p", "c", 0, 100, 2, "ok").rows_per_s is None


def test_a_resolved_spec_shows_no_path_of_this_machine() -> None:
    root = Path(__file__).parents[2].resolve()
    text = f"path: {root}/benchmarks/data/W32/parts\nstorage_path: /somewhere/else"
    hidden = hide_paths(text, "/somewhere/else")
    assert hidden == "path: benchmarks/data/W32/parts\nstorage_path: <temporary>"


def test_workers_are_pinned_one_to_a_core_with_all_their_threads() -> None:
    # A process with the title of a Ray Train worker and two threads.
    code = (
        "import threading; forever = threading.Event(); "
        "threading.Thread(target=forever.wait, daemon=True).start(); print('up', flush=True); forever.wait()"
    )
    command = ["ray::RayTrainWorker", "-c", code]
    workers = [
        subprocess.Popen(command, executable=sys.executable, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "up\n"
        with PinnedWorkers(2) as pinned:
            for _ in range(100):
                if len(pinned.pinned) == 2:
                    break
                pinned._closing.wait(0.05)
        cores = sorted(os.sched_getaffinity(0))
        for number, worker in enumerate(sorted(workers, key=lambda worker: worker.pid)):
            tasks = [int(entry.name) for entry in Path(f"/proc/{worker.pid}/task").iterdir()]
            assert len(tasks) == 2
            assert all(os.sched_getaffinity(task) == {cores[number % len(cores)]} for task in tasks)
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def test_an_outcome_survives_the_way_through_the_child(dataset: Dataset, tmp_path: Path) -> None:
    request, answer = tmp_path / "request.json", tmp_path / "answer.json"
    request.write_text(
        json.dumps(
            {
                "contender": "floor_1_core",
                "dataset": str(dataset.path),
                "grid": {"name": "t", "problems": [], "contenders": [], "epochs": 1},
                "num_cpus": 1,
            }
        )
    )
    command = [sys.executable, "-m", "benchmarks.child", str(request), str(answer)]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    document = json.loads(answer.read_text())
    assert document["outcome"]["passes"][0]["rows"] == 20_000
    assert document["peak_rss_mb"] > 10


def test_contenders_are_described_for_the_report() -> None:
    assert all(contender.about for contender in CONTENDERS.values())
    example = Contender("x", "about", lambda dataset, grid: Outcome(0.0, 1.0, [Pass(1, 1.0)]))
    assert example.num_cpus is None
