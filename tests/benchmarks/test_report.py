from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import cli
from benchmarks.contender import Grid
from benchmarks.isolate import Record
from benchmarks.machine import describe_machine, machine_slug
from benchmarks.problems import PROBLEMS
from benchmarks.report import write_report
from benchmarks.summary import judge, summarise
from benchmarks.sweep import _interleaved, load_records, run_grid

FULL = PROBLEMS["W32"].num_rows


def ran(
    contender: str, first_s: float, later_s: float, *, gap: float | None = 1e-4, number: int = 0
) -> Record:
    return Record(
        "W32",
        contender,
        number,
        FULL,
        32,
        "ok",
        startup_s=3.0,
        train_s=first_s + later_s,
        teardown_s=0.5,
        passes=[(FULL, first_s), (FULL, later_s)],
        mse=None if gap is None else 1.0 + gap,
        gap=gap,
        extra={"resolved_spec": "name: benchmark"} if contender.startswith("ours") else {},
    )


def example() -> list[Record]:
    floors = [
        ran("floor_processes", seconds, seconds, gap=None, number=i)
        for i, seconds in enumerate((1.0, 9.0, 1.0))
    ]
    ours = [ran("ours_all_threads", seconds, 0.25, number=i) for i, seconds in enumerate((1.0, 1.25, 7.0))]
    spark = Record("W32", "spark_lbfgs", 0, FULL, 32, "unavailable", reason="pyspark is not installed")
    return [*floors, *ours, ran("pyarrow_loop", 10.0, 10.0, gap=1e-6), spark]


def test_medians_are_taken_over_rounds() -> None:
    floor, ours, *_ = summarise(example())
    assert floor.first_rows_per_s == FULL
    assert ours.rounds == 3
    assert ours.first_rows_per_s == FULL / 1.25
    assert ours.of_floor == pytest.approx(0.8)
    assert ours.spread == pytest.approx((7.25 - 1.25) / 1.5)


def test_a_promise_is_judged_with_its_ratio_and_loss() -> None:
    verdicts = {verdict.target.text: verdict for verdict in judge(summarise(example()))}
    floor = verdicts["first epoch, all threads, of the two-process scan"]
    assert (floor.got, floor.met, floor.gap_not_higher) == ("0.80×", True, None)
    later = verdicts["later epochs of the first, all threads"]
    assert (later.got, later.met) == ("5.00×", True)
    loop = verdicts["first epoch, of the pyarrow loop"]
    assert (loop.got, loop.met, loop.gap_not_higher) == ("8.00×", True, False)
    assert not any("Spark" in text for text in verdicts)


def test_a_broken_promise_is_shown_as_broken() -> None:
    slow = [ran("floor_processes", 1.0, 1.0, gap=None), ran("ours_all_threads", 2.0, 2.0)]
    verdict = judge(summarise(slow))[0]
    assert verdict.met is False


def test_nothing_is_judged_at_a_smaller_size() -> None:
    small = [Record(**{**vars(record), "num_rows": 1_000}) for record in example()]
    assert {verdict.met for verdict in judge(summarise(small))} == {None}


def test_start_up_is_judged_as_a_difference() -> None:
    noop = Record("W32", "ray_noop_2", 0, FULL, 32, "ok", startup_s=2.5, train_s=0.0, teardown_s=1.0)
    verdict = judge(summarise([noop, ran("ours_ray_2", 1.0, 1.0)]))[-1]
    assert (verdict.got, verdict.wanted, verdict.met) == ("+0.50 s", "≤ +1 s", True)


def test_a_report_is_written_in_four_forms(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="plots need the bench extra")
    paths = write_report(example(), tmp_path, day=date(2026, 1, 2))
    assert [path.suffix for path in paths] == [".json", ".csv", ".png", ".md"]
    assert all(path.name.startswith("2026-01-02_") for path in paths)
    document = json.loads(paths[0].read_text())
    assert len(document["runs"]) == len(example())
    assert document["machine"]["cores"] >= 1
    with paths[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["contender"] for row in rows][:2] == ["floor_processes", "ours_all_threads"]
    assert paths[2].read_bytes().startswith(b"\x89PNG")
    text = paths[3].read_text()
    assert "| later epochs of the first, all threads | W32 | ≥ 2.5× | 5.00× | yes |" in text
    assert "`spark_lbfgs` unavailable: pyspark is not installed" in text
    assert "name: benchmark" in text
    table = next(block for block in text.split("\n\n") if block.startswith("| contender"))
    assert {line.count("|") for line in table.splitlines()} == {13}


def test_records_survive_the_file(tmp_path: Path) -> None:
    raw = tmp_path / "raw.jsonl"
    grid = Grid("t", ("W8",), ("floor_1_core",), scale=0.001, epochs=1, rounds=2)
    records = run_grid(grid, raw, root=tmp_path, say=lambda line: None)
    assert [record.status for record in records] == ["ok", "ok"]
    assert [record.rows_per_s for record in load_records(raw)] == [record.rows_per_s for record in records]


def test_every_contender_runs_once_a_round_and_the_first_one_changes() -> None:
    grid = Grid("t", ("W8", "W32"), ("a", "b", "c"), rounds=2)
    order = list(_interleaved(grid))
    assert [name for number, problem, name in order if (number, problem) == (0, "W8")] == ["a", "b", "c"]
    assert [name for number, problem, name in order if (number, problem) == (1, "W32")] == ["b", "c", "a"]
    assert len(set(order)) == len(order) == 12


def test_the_machine_is_named_without_host_or_path() -> None:
    machine = describe_machine()
    assert machine["versions"]["linreg-dist"]
    slug = machine_slug(machine)
    assert slug == slug.lower()
    assert slug.endswith("-cores")
    assert "/" not in json.dumps({**machine, "versions": None})


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    result = CliRunner().invoke(cli, ["run", "--grid", "smoke", "--contenders", "floor_threads,magic"])
    assert result.exit_code == 2
    assert "no contender magic; there are floor_processes" in result.output
