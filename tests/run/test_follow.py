from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

import pytest

from linreg_dist.documents import EpochLine, Event
from linreg_dist.run.progress.follow import follow_metrics

POLL_S = 0.005


class Recorder:
    """Keeps the events and lets a test wait for them."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, event: Event) -> None:
        self.events.append(event)

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + 10
        while len(self.events) < count:
            assert time.monotonic() < deadline, f"only {self.events} arrived"
            time.sleep(POLL_S)

    @property
    def epochs(self) -> list[int]:
        return [event.epoch for event in self.events if isinstance(event, EpochLine)]


def write(path: Path, *epochs: int, mode: str = "a") -> None:
    with path.open(mode) as file:
        file.writelines(json.dumps({"epoch": epoch}) + "\n" for epoch in epochs)


def test_lines_arrive_in_order_while_the_file_grows(tmp_path: Path) -> None:
    path, display = tmp_path / "metrics.jsonl", Recorder()
    with follow_metrics(path, display, poll_s=POLL_S):  # the file does not exist yet
        write(path, 1, 2)
        display.wait_for(2)
        write(path, 3)
        display.wait_for(3)
    assert display.epochs == [1, 2, 3]


def test_what_was_written_last_is_read_before_the_block_ends(tmp_path: Path) -> None:
    path, display = tmp_path / "metrics.jsonl", Recorder()
    with follow_metrics(path, display, poll_s=60):
        write(path, 1, 2, 3)
    assert display.epochs == [1, 2, 3]


def test_a_line_counts_once_it_is_complete(tmp_path: Path) -> None:
    path, display = tmp_path / "metrics.jsonl", Recorder()
    with follow_metrics(path, display, poll_s=POLL_S):
        with path.open("a") as file:
            file.write('{"epoch": 1}\n{"epo')
            file.flush()
            display.wait_for(1)
            time.sleep(5 * POLL_S)
            assert display.epochs == [1]
            file.write('ch": 2}\n')
        display.wait_for(2)
    assert display.epochs == [1, 2]


def test_an_incomplete_last_line_is_not_shown(tmp_path: Path) -> None:
    path, display = tmp_path / "metrics.jsonl", Recorder()
    with follow_metrics(path, display, poll_s=POLL_S):
        path.write_text('{"epoch": 1}\n{"epoch": 2}')
    assert display.epochs == [1]


def test_a_file_that_never_appears_is_no_error(tmp_path: Path) -> None:
    display = Recorder()
    with follow_metrics(tmp_path / "missing" / "metrics.jsonl", display, poll_s=POLL_S):
        pass
    assert display.events == []


def test_a_file_that_is_cut_short_is_read_from_its_beginning(tmp_path: Path) -> None:
    path, display = tmp_path / "metrics.jsonl", Recorder()
    write(path, 1, 2)
    with follow_metrics(path, display, poll_s=POLL_S):
        display.wait_for(2)
        write(path, 7, mode="w")
        display.wait_for(3)
    assert display.epochs == [1, 2, 7]


def test_a_file_that_is_replaced_is_read_from_its_beginning(tmp_path: Path) -> None:
    path, display = tmp_path / "metrics.jsonl", Recorder()
    write(path, 1)
    with follow_metrics(path, display, poll_s=POLL_S):
        display.wait_for(1)
        write(tmp_path / "new", 7, 8, 9)
        (tmp_path / "new").replace(path)
        display.wait_for(4)
    assert display.epochs == [1, 7, 8, 9]


@pytest.mark.parametrize("line", ["not json", "[1, 2]", "\ufffd{"])
def test_a_line_that_holds_no_event_is_logged_and_skipped(
    tmp_path: Path, line: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, display = tmp_path / "metrics.jsonl", Recorder()
    with caplog.at_level(logging.WARNING), follow_metrics(path, display, poll_s=POLL_S):
        path.write_text(f'{{"epoch": 1}}\n{line}\n\n{{"epoch": 2}}\n')
    assert display.epochs == [1, 2]
    assert [record.getMessage() for record in caplog.records if "holds no event" in record.getMessage()]


def test_the_thread_ends_with_the_block_even_when_the_block_fails(tmp_path: Path) -> None:
    path, display = tmp_path / "metrics.jsonl", Recorder()
    write(path, 1)
    with pytest.raises(RuntimeError, match="training broke"), follow_metrics(path, display, poll_s=60):
        raise RuntimeError("training broke")
    assert display.epochs == [1]
    assert "follow-metrics" not in {thread.name for thread in threading.enumerate()}
