"""The progress of whole runs in this process: from before the first row to after the last."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import pytest

from linreg_dist.documents import EpochLine, Event, Tick
from linreg_dist.run.progress.driver import DriverProgress, waiting_text
from linreg_dist.training.metrics_log import MetricsLog
from linreg_dist.verbs.train import train
from linreg_dist.wording.events import parse_event
from tests.parquet import linear_columns, write_parquet


class Events:
    """Takes events, and the threads they come from one at a time."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self._busy = threading.Lock()

    def event(self, event: Event) -> None:
        assert self._busy.acquire(blocking=False)
        self.all.append(event)
        self._busy.release()

    @property
    def ticks(self) -> list[Tick]:
        return [event for event in self.all if isinstance(event, Tick)]

    @property
    def phases(self) -> list[str]:
        """The phases in the order in which each came first."""
        return list(dict.fromkeys(str(tick.phase) for tick in self.ticks))


def spec_of(tmp_path: Path, **solver: Any) -> dict[str, Any]:
    data = tmp_path / "data"
    data.mkdir()
    columns = {**linear_columns(600, 2), "kind": ["a", "b", "c"] * 200}
    write_parquet(data / "0.parquet", columns, row_group_size=100)
    return {
        "name": "job",
        "data": {"path": str(data), "target": "y", "categorical": {"kind": "auto"}},
        "solver": solver,
        "run": {"storage_path": str(tmp_path / "runs")},
        "outputs": {"report": False},
    }


@pytest.mark.parametrize(
    ("solver", "phases"),
    [
        ({"name": "exact"}, ["finding levels", "first pass", "measuring the errors"]),
        ({"name": "lbfgs"}, ["finding levels", "first pass", "epoch 1 of 10", "measuring the errors"]),
        (
            {"name": "adam", "epochs": 3},
            ["finding levels", "first pass", "epoch 1 of 3", "measuring the errors"],
        ),
    ],
)
def test_a_job_tells_its_phases_from_the_first_to_the_last_and_never_goes_back(
    solver: dict[str, Any], phases: list[str], tmp_path: Path
) -> None:
    events = Events()
    run = train(spec_of(tmp_path, **solver), progress=events)
    found = [phase for phase in events.phases if not re.match("epoch [2-9]", phase)]
    assert found[:3] == ["starting", "reading footers", "loading libraries"]
    assert found[3:] == [*phases, "finishing", "finished"]
    shares = [tick.progress for tick in events.ticks]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert all(share < 1.0 for share in shares[:-1])
    planned = [tick for tick in events.ticks if tick.phase not in ("starting", "reading footers")]
    assert all(tick.eta_s is not None and 0.0 <= tick.eta_s < 600.0 for tick in planned)
    epochs = [event for event in events.all if isinstance(event, EpochLine)]
    assert len(epochs) == run.result["solver"]["epochs"]


def test_the_file_says_what_the_display_says(tmp_path: Path) -> None:
    events = Events()
    run = train(spec_of(tmp_path, name="adam", epochs=2), progress=events)
    written = [parse_event(line) for line in (run.path / "metrics.jsonl").read_bytes().splitlines()]
    assert isinstance(written[-1], Tick)
    assert written[-1].phase == "finishing"
    of_workers = [event for event in events.all if event in written[:-1]]
    assert of_workers == written[:-1]


def test_a_run_that_has_finished_before_is_at_its_end_at_once(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, name="exact")
    train(spec)
    events = Events()
    assert train(spec, progress=events).already_finished
    assert (events.ticks[-1].progress, events.ticks[-1].phase) == (1.0, "finished")


def test_a_failure_ends_the_ticks_and_claims_no_end(tmp_path: Path) -> None:
    events = Events()
    with pytest.raises(Exception, match="does not exist"):
        train({"data": {"path": str(tmp_path / "none"), "target": "y"}}, progress=events)
    assert events.ticks
    assert all(tick.progress < 1.0 for tick in events.ticks)
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_the_driver_goes_on_above_what_the_workers_told() -> None:
    events = Events()
    with DriverProgress(events) as progress:
        progress.event(Tick(progress=0.9, phase="first pass"))
        progress.enter("report", "writing the report")
        assert events.ticks[-1].progress >= 0.9
        progress.finish()
    assert events.ticks[-1].progress == 1.0


def test_the_work_is_ticked_while_it_is_silent(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.tick("read", 0.5, rows=10, rows_per_s=5.0)
    ended = threading.Event()
    while len((tmp_path / "metrics.jsonl").read_bytes().splitlines()) < 2 and not ended.wait(0.05):
        pass
    log.close()
    first, second = (parse_event(line) for line in (tmp_path / "metrics.jsonl").read_bytes().splitlines()[:2])
    assert isinstance(first, Tick)
    assert isinstance(second, Tick)
    assert (second.phase, second.rows, second.rows_per_s) == (first.phase, 10, 5.0)
    assert second.progress >= first.progress


def test_one_worker_is_waited_for_in_the_singular() -> None:
    assert [waiting_text(1), waiting_text(2)] == ["waiting for 1 worker", "waiting for 2 workers"]
