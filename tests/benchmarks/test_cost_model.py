from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.allreduce import measure_allreduce
from benchmarks.convergence import SETTINGS, Curve, as_curve, render
from benchmarks.cost_model import CostModel, Measured, Work, fit_cost_model
from benchmarks.isolate import Record
from benchmarks.machine import describe_machine
from benchmarks.scaling import Point, as_measured, points, write
from benchmarks.scaling_report import far_work

TRUE = CostModel((0.2, 2e-10, 5e-10, 3e-4, 1.2e-3, 6e-4, 4e-10))


def synthetic(model: CostModel = TRUE) -> list[Measured]:
    measured = []
    for point in points(500_000):
        work = Work(point.rows, point.features, point.workers, point.steps, reads=True, cores=2)
        for each in (work, replace(work, reads=False)):
            fitted = not point.held_back and point.workers <= 2
            measured.append(Measured(each, model.seconds(each), point.label, fitted))
    for size in (64, 1 << 20, 4 << 20):
        work = Work(0, 0, 2, 1, reads=False, cores=2, payload_bytes=size)
        measured.append(Measured(work, model.seconds(work), "all-reduce"))
    return measured


def test_a_fit_to_exact_costs_recovers_the_coefficients_and_the_held_back_point() -> None:
    measured = synthetic()
    model = fit_cost_model(measured)
    assert model.coefficients == pytest.approx(TRUE.coefficients, rel=1e-6)
    held = [point for point in measured if not point.fitted]
    assert len(held) == 4
    assert all(model.relative_error(point) == pytest.approx(0.0, abs=1e-6) for point in held)


def test_no_coefficient_is_negative_whatever_was_measured() -> None:
    noisy = [
        replace(point, seconds=point.seconds * (0.3 if number % 3 else 3.0))
        for number, point in enumerate(synthetic())
    ]
    assert all(value >= 0.0 for value in fit_cost_model(noisy).coefficients)


def test_too_few_points_are_refused() -> None:
    with pytest.raises(ValueError, match="4 points cannot determine 7 coefficients"):
        fit_cost_model(synthetic()[:4])


def test_one_worker_talks_to_nobody_and_many_in_log_rounds() -> None:
    alone, many = (
        Work(1_000, 8, 1, 10, reads=True, cores=1),
        Work(1_000, 8, 1_000, 10, reads=True, cores=1_000),
    )
    assert TRUE.communication(alone) == 0.0
    assert many.terms[4] == 10
    assert many.terms[5] == 10 * math.ceil(math.log2(1_000))


def test_more_workers_than_cores_compute_no_faster() -> None:
    two, four = (Work(1_000, 8, workers, 1, reads=False, cores=2) for workers in (2, 4))
    assert two.terms[2] == four.terms[2]


def test_the_star_covers_what_is_promised() -> None:
    star = points(1_000)
    assert {point.rows for point in star} == {1_000, 4_000, 16_000}
    assert {point.features for point in star} == {8, 32, 128, 512}
    assert {point.workers for point in star} == {1, 2, 4}
    assert [point for point in star if point.held_back] == [Point(16_000, 32, 2, held_back=True)]
    assert len(set(star)) == len(star)


def test_ten_terabytes_are_ten_terabytes() -> None:
    work = far_work(100, reads=True)
    assert work.rows * 4 * (work.features + 1) == pytest.approx(10e12)


def test_runs_become_a_first_and_a_later_pass_by_medians() -> None:
    def ran(first: float, later: float) -> Record:
        extra = {"solver": {"steps_per_epoch": 64}}
        return Record(
            "S32",
            "ours_ray_2",
            0,
            100,
            32,
            "ok",
            passes=[(100, first), (100, later), (100, later)],
            extra=extra,
        )

    first, later = as_measured(Point(100, 32, 2), [ran(1.0, 0.5), ran(2.0, 0.4), ran(9.0, 0.6)], cores=2)
    assert (first.seconds, later.seconds) == (2.0, 0.5)
    assert (first.work.reads, later.work.reads) == (True, False)
    failed = Record("S32", "ours_ray_2", 0, 100, 32, "failed", reason="boom")
    with pytest.raises(RuntimeError, match="boom"):
        list(as_measured(Point(100, 32, 2), [failed], cores=2))


def test_the_scaling_report_shows_errors_and_the_held_back_point(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need the bench extra")
    measured = synthetic()
    paths = write(measured, fit_cost_model(measured), tmp_path)
    text = paths[2].read_text()
    assert "**held back**" in text
    assert "more workers than cores" in text
    assert "| 1,000 |" in text
    assert paths[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_larger_message_takes_longer_to_reduce() -> None:
    seconds = measure_allreduce(2, (64, 4 << 20))
    assert 0.0 < seconds[64] < seconds[4 << 20]


def test_a_curve_is_read_from_a_record_and_rendered() -> None:
    record = Record(
        "C32",
        "ours_ray_2",
        0,
        100,
        32,
        "ok",
        passes=[(100, 2.0), (100, 1.0)],
        gap=0.01,
        extra={"losses": [3.0, 1.5]},
    )
    curve = as_curve(SETTINGS[0], record)
    assert curve == Curve(SETTINGS[0], [2.0, 3.0], [3.0, 1.5], 0.01)
    text = render([curve], 1.0, 100, describe_machine(), "ours_ray_2")
    assert "| sgd, sync_every 1, batch 2,048 | 2.00 | 3.00 | 3 | 1.5 | 1.00e-02 |" in text
    with pytest.raises(RuntimeError, match="boom"):
        as_curve(SETTINGS[0], Record("C32", "ours_ray_2", 0, 100, 32, "failed", reason="boom"))


@pytest.mark.slow
def test_the_parts_can_be_timed_by_pytest_benchmark() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", "-q", "-p", "no:cacheprovider"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "11 passed" in result.stdout
