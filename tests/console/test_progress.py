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
        phase="training" if epoch is None else f"epoch {epoch + 1} of 10",
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


def show(*steps: tuple[float, Event], verbose: bool = False, quiet: bool = False) -> str:
    """Return what a stream that is no terminal holds after events at the given seconds."""
    clock, stream = Clock(), io.StringIO()
    with ProgressDisplay(stream, quiet=quiet, verbose=verbose, clock=clock) as display:
        for now_s, event in steps:
            clock.now_s = now_s
            display.event(event)
    return stream.getvalue()


def test_a_pipe_gets_a_plain_line_only_every_few_seconds() -> None:
    text = show(
        (0.9, tick(0.1)),
        (6, tick(0.4, epoch=3)),
        (8, tick(0.5)),
        (10.9, tick(0.6)),
        (11.1, tick(0.7, epoch=6)),
    )
    assert text == (
        "epoch 4 of 10   40 %  2.70 Mrow/s  loss 313.204  12 s left\n"
        "epoch 7 of 10   70 %  2.70 Mrow/s  loss 313.204  12 s left\n"
    )


def test_a_pipe_gets_its_first_line_after_a_second() -> None:
    text = show(
        (0.2, Tick(progress=0.0, phase="starting")), (1.1, Tick(progress=0.004, phase="starting Ray"))
    )
    assert text == "starting Ray  0.4 %\n"


def test_a_table_of_the_epochs_stays_after_the_run() -> None:
    text = show((0.1, epoch_line(0)), (0.2, epoch_line(1, validation_mse=311.25)))
    assert [line.split() for line in text.splitlines()] == [
        ["epoch", "took", "speed", "train", "MSE", "validation", "MSE"],
        ["─" * len(text.splitlines()[0])],
        ["1", "0.2", "s", "1.30", "Mrow/s", "313.000", "312.500"],
        ["2", "0.2", "s", "1.30", "Mrow/s", "313.000", "311.250"],
        [],
    ]


def test_a_single_epoch_which_is_all_that_an_exact_fit_has_makes_no_table() -> None:
    assert show((0.1, epoch_line(0))) == ""


def test_a_long_table_shows_the_first_and_the_last_epochs() -> None:
    text = show(*((0.1, epoch_line(i)) for i in range(100)))
    shown = re.findall(r"^ +(\d+|\.\.\.)", text, re.M)
    assert shown == ["1", "2", "3", "4", "...", *map(str, range(93, 101))]


def test_an_epoch_that_an_attempt_repeats_is_in_the_table_once() -> None:
    assert show((0.1, epoch_line(0)), (0.2, epoch_line(1)), (0.3, epoch_line(0))).count("313.000") == 2


def test_verbose_writes_a_line_for_every_epoch() -> None:
    text = show((0.1, epoch_line(0)), (0.2, epoch_line(1)), (0.3, epoch_line(2)), verbose=True)
    assert re.findall(r"^epoch (\d+) ", text, re.M) == ["1", "2", "3"]


def test_quiet_writes_nothing(make_terminal: Callable[[int], io.StringIO]) -> None:
    assert show((6, tick(0.5)), (12, epoch_line(1)), quiet=True) == ""
    terminal = make_terminal(80)
    with ProgressDisplay(terminal, quiet=True, verbose=True) as display:
        display.event(tick(0.5))
    assert terminal.getvalue() == ""


def test_unknown_figures_are_left_out() -> None:
    text = show((6, Tick(progress=0.25, phase="first pass", loss=None, eta_s=None)))
    assert text == "first pass   25 %\n"


def test_an_epoch_without_validation_shows_the_training_error_only() -> None:
    text = show((1, epoch_line(1, validation_mse=None)), verbose=True)
    assert text.endswith("train mse 313.000\n")
    table = show((1, epoch_line(0, validation_mse=None)), (1, epoch_line(1, validation_mse=None)))
    assert "train MSE" in table
    assert "validation" not in table


@pytest.mark.parametrize(
    ("progress", "shown"),
    [(-0.2, "0.0 %"), (1.7, "100 %"), (0.0, "0.0 %"), (0.0994, "9.9 %"), (0.0996, " 10 %")],
)
def test_progress_outside_its_range_is_clipped(progress: float, shown: str) -> None:
    assert f"  {shown}  " in show((6, tick(progress)))


def test_a_terminal_shows_one_bar_and_removes_it(make_terminal: Callable[[int], io.StringIO]) -> None:
    terminal = make_terminal(80)
    with ProgressDisplay(terminal) as display:
        display.event(tick(0.0))
        display.event(tick(0.42, epoch=4))
    text = terminal.getvalue()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert re.search(r"[-\\|/] epoch 5 of 10 [━╺╸]+ +42 % 2\.70 Mrow/s  loss 313\.204  12 s left", plain)
    assert max(len(line) for line in re.split(r"[\r\n]", plain)) <= 80
    assert text.rstrip().endswith("\x1b[2K")  # the bar's line is erased


def test_a_terminal_shows_nothing_before_the_first_event(make_terminal: Callable[[int], io.StringIO]) -> None:
    terminal = make_terminal(80)
    with ProgressDisplay(terminal):
        pass
    assert "━" not in terminal.getvalue()


def test_verbose_prints_epochs_above_the_bar(make_terminal: Callable[[int], io.StringIO]) -> None:
    terminal = make_terminal(80)
    with ProgressDisplay(terminal, verbose=True) as display:
        display.event(tick(0.1))
        display.event(epoch_line(0))
    assert "epoch 1  0.2 s  1.30 Mrow/s  train mse 313.000  validation mse 312.500" in terminal.getvalue()


def test_no_color_leaves_a_bar_without_colour(
    make_terminal: Callable[[int], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = make_terminal(80)
    monkeypatch.setenv("NO_COLOR", "1")
    with ProgressDisplay(terminal) as display:
        display.event(tick(0.5))
    assert "━" in terminal.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*[1-9][0-9;]*m", terminal.getvalue())


def test_events_after_the_end_do_not_bring_the_bar_back(make_terminal: Callable[[int], io.StringIO]) -> None:
    terminal = make_terminal(80)
    with ProgressDisplay(terminal) as display:
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
