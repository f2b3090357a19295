from __future__ import annotations

import errno
import io
import os
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest

from linreg_dist.console import EventLines, ProgressDisplay
from linreg_dist.documents import EpochLine, Event, Tick


class Clock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def tick(progress: float, epoch: int | None = 1, **more: Any) -> Tick:
    return Tick(
        progress=progress,
        phase="train",
        of_epoch=epoch,
        rows=1000,
        rows_per_s=2.7e6,
        loss=313.2041,
        eta_s=12.2,
        **more,
    )


def epoch_line(epoch: int, **more: Any) -> EpochLine:
    figures = {
        "rows": 261_826,
        "rows_per_s": 1.3e6,
        "seconds": 0.2,
        "train_mse": 313.0,
        "validation_mse": 312.5,
    }
    return EpochLine.from_json({"epoch": epoch, **figures, **more})


def show(
    *steps: tuple[float, Event], verbose: bool = False, quiet: bool = False, total: int | None = 10
) -> str:
    """Return what a stream that is no terminal holds after events at the given seconds."""
    clock, stream = Clock(), io.StringIO()
    with ProgressDisplay(stream, quiet=quiet, verbose=verbose, total_epochs=total, clock=clock) as display:
        for now_s, event in steps:
            clock.now_s = now_s
            display.event(event)
    return stream.getvalue()


def test_a_pipe_gets_a_plain_line_only_every_few_seconds() -> None:
    text = show(
        (1, tick(0.1)), (6, tick(0.4, epoch=3)), (8, tick(0.5)), (10.9, tick(0.6)), (11.1, tick(0.7, epoch=6))
    )
    assert text == (
        "train 4/10   40 %  2.70 Mrow/s  loss 313.204  12 s left\n"
        "train 7/10   70 %  2.70 Mrow/s  loss 313.204  12 s left\n"
    )


def test_a_short_job_leaves_its_last_epoch() -> None:
    text = show((0.1, epoch_line(0)), (0.2, epoch_line(1)))
    assert text == "epoch 2/10  0.2 s  1.30 Mrow/s  train mse 313.000  validation mse 312.500\n"


def test_an_epoch_that_was_shown_is_not_shown_again_at_the_end() -> None:
    assert show((6, epoch_line(0))).count("epoch 1/10") == 1


def test_verbose_writes_a_line_for_every_epoch() -> None:
    text = show((0.1, epoch_line(0)), (0.2, epoch_line(1)), (0.3, epoch_line(2)), verbose=True)
    assert re.findall(r"epoch (\d+)/10", text) == ["1", "2", "3"]


def test_quiet_writes_nothing(make_terminal: Callable[[int], io.StringIO]) -> None:
    assert show((6, tick(0.5)), (12, epoch_line(1)), quiet=True) == ""
    terminal = make_terminal(80)
    with ProgressDisplay(terminal, quiet=True, verbose=True) as display:
        display.event(tick(0.5))
    assert terminal.getvalue() == ""


def test_unknown_figures_are_left_out() -> None:
    text = show((6, Tick(progress=0.25, phase="read", loss=None, eta_s=None)), total=None)
    assert text == "read   25 %\n"


def test_an_epoch_without_validation_shows_the_training_error_only() -> None:
    assert show((1, epoch_line(1, validation_mse=None))).endswith("train mse 313.000\n")


@pytest.mark.parametrize(("progress", "shown"), [(-0.2, "  0 %"), (1.7, "100 %")])
def test_progress_outside_its_range_is_clipped(progress: float, shown: str) -> None:
    assert f"  {shown}  " in show((6, tick(progress)))


def test_a_terminal_shows_one_bar_and_removes_it(make_terminal: Callable[[int], io.StringIO]) -> None:
    terminal = make_terminal(80)
    with ProgressDisplay(terminal, total_epochs=10) as display:
        display.event(tick(0.0))
        display.event(tick(0.42, epoch=4))
    text = terminal.getvalue()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert re.search(r"train 5/10 ━+ +42 % 2\.70 Mrow/s  loss 313\.204  12 s left", plain)
    assert max(len(line) for line in re.split(r"[\r\n]", plain)) <= 80
    assert text.rstrip().endswith("\x1b[2K")  # the bar's line is erased


def test_a_terminal_shows_nothing_before_the_first_event(make_terminal: Callable[[int], io.StringIO]) -> None:
    terminal = make_terminal(80)
    with ProgressDisplay(terminal, total_epochs=10):
        pass
    assert "━" not in terminal.getvalue()


def test_verbose_prints_epochs_above_the_bar(make_terminal: Callable[[int], io.StringIO]) -> None:
    terminal = make_terminal(80)
    with ProgressDisplay(terminal, verbose=True, total_epochs=10) as display:
        display.event(tick(0.1))
        display.event(epoch_line(0))
    assert "epoch 1/10  0.2 s  1.30 Mrow/s  train mse 313.000  validation mse 312.500" in terminal.getvalue()


def test_no_color_leaves_a_bar_without_colour(
    make_terminal: Callable[[int], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = make_terminal(80)
    monkeypatch.setenv("NO_COLOR", "1")
    with ProgressDisplay(terminal, total_epochs=10) as display:
        display.event(tick(0.5))
    assert "━" in terminal.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9;]*m", terminal.getvalue())


def test_events_after_the_end_do_not_bring_the_bar_back(make_terminal: Callable[[int], io.StringIO]) -> None:
    terminal = make_terminal(80)
    with ProgressDisplay(terminal, total_epochs=10) as display:
        display.event(tick(0.5))
    before = terminal.getvalue()
    display.event(tick(0.9))
    assert terminal.getvalue() == before


def test_events_from_many_threads_all_arrive() -> None:
    stream = io.StringIO()
    with ProgressDisplay(stream, verbose=True) as display:
        threads = [
            threading.Thread(target=lambda: [display.event(epoch_line(i)) for i in range(100)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 400
    assert all(re.fullmatch(r"epoch \d+  0\.2 s  .* 312\.500", line) for line in lines)


class BrokenStream(io.StringIO):
    """A terminal that was closed, or a log on a full disk."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_stream_that_cannot_be_written_to_costs_no_run(
    terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    with ProgressDisplay(BrokenStream(terminal=terminal), verbose=True) as display:
        display.event(epoch_line(0))
        display.event(tick(0.5))
        display.event(epoch_line(1))


def test_lines_for_programs_end_where_the_stream_does() -> None:
    lines = EventLines(BrokenStream(terminal=False))
    lines.event(epoch_line(0))
    lines.event(epoch_line(1))


def test_an_error_of_the_display_itself_is_not_hidden() -> None:
    with (
        ProgressDisplay(io.StringIO(), interval_s=0.0) as display,
        pytest.raises(TypeError, match="not supported"),
    ):
        display.event(Tick.model_construct(progress="half"))


@pytest.mark.parametrize(
    "phase", ["[bold red]x[/]", "[/]", "[link=http://evil]y[/link]", "\x1b[2J", "\x1b]0;t\x07", "\u202eback"]
)
def test_the_phase_of_a_remote_job_is_text_and_no_markup_and_steers_no_terminal(phase: str) -> None:
    event = Tick(progress=0.5, phase=phase, of_epoch=None)
    text = show((10.0, event))
    assert not set(text) & set("\x1b\x07\u202e")
    if phase.startswith("["):
        assert phase in text


@pytest.mark.parametrize(
    "phase", ["[bold red]x[/]", "[/]", "[link=http://evil]y[/link]", "\x1b]0;t\x07q", "\u202eback"]
)
def test_the_bar_takes_no_phase_for_markup_or_a_command(
    make_terminal: Callable[[int], io.StringIO], phase: str
) -> None:
    terminal = make_terminal(120)
    with ProgressDisplay(terminal) as display:
        display.event(Tick(progress=0.5, phase=phase, of_epoch=None))
    text = terminal.getvalue()
    assert not set(text) & set("\x07\u202e")
    assert "\x1b]" not in text
    if phase.startswith("["):
        assert phase in text
