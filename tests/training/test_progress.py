from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.training.progress import JobProgress, Phase

FRACTIONS = st.floats(0.0, 1.0) | st.sampled_from([-1.0, 2.0, math.nan, math.inf])


class Clock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def planned(clock: Clock, *phases: Phase) -> JobProgress:
    progress = JobProgress(clock)
    progress.plan(phases)
    return progress


@given(
    st.lists(st.tuples(st.sampled_from(["read", "train", "report", "else"]), st.floats(0.0, 1e5))),
    st.lists(st.tuples(st.integers(0, 3), st.floats(-5.0, 1e4), FRACTIONS), max_size=30),
)
def test_whatever_comes_it_never_falls_never_ends_early_and_the_time_left_is_a_number(
    phases: list[tuple[str, float]], steps: list[tuple[int, float, float]]
) -> None:
    clock = Clock()
    progress = planned(clock, *(Phase(name, seconds, scales=name != "report") for name, seconds in phases))
    before = 0.0
    for what, seconds, fraction in steps:
        clock.now_s += seconds
        if what == 0:
            standing = progress.enter(
                ["read", "train", "report", "else"][int(clock.now_s) % 4], done=fraction
            )
        elif what == 1:
            standing = progress.at(fraction)
        elif what == 2:
            progress.seen(fraction)
            standing = progress.standing()
        else:
            standing = progress.standing()
        assert before <= standing.progress < 1.0
        assert standing.eta_s is not None
        assert 0.0 <= standing.eta_s < math.inf
        before = standing.progress
    assert progress.finish().progress == 1.0
    assert progress.standing().eta_s == 0.0


def test_nothing_is_promised_before_anything_is_known() -> None:
    clock = Clock()
    progress = JobProgress(clock)
    clock.now_s += 3600.0
    standing = progress.standing()
    assert standing.eta_s is None
    assert 0.0 < standing.progress <= 0.01


def test_a_pass_is_never_at_zero_once_it_has_got_anywhere() -> None:
    clock = Clock()
    progress = planned(clock, Phase("read", 1.0, scales=True), Phase("train", 9.0, scales=True))
    progress.enter("read")
    shares = []
    for done in range(1, 11):
        clock.now_s += 10.0
        shares.append(progress.at(done / 10).progress)
    # The whole job is a thousand seconds at the speed of the first pass, which is a tenth of it.
    assert shares == pytest.approx([done / 100 for done in range(1, 11)], rel=1e-6)


def test_the_speed_of_one_pass_tells_of_those_to_come_and_not_of_the_rest() -> None:
    clock = Clock()
    progress = planned(
        clock, Phase("read", 2.0, scales=True), Phase("train", 10.0, scales=True), Phase("report", 1.0)
    )
    progress.enter("read")
    clock.now_s += 20.0  # ten times as slow as expected
    progress.enter("train")
    assert progress.standing().eta_s == pytest.approx(100.0 + 1.0)
    clock.now_s += 50.0
    assert progress.at(0.5).eta_s == pytest.approx(50.0 + 1.0)
    progress.enter("report")
    assert progress.standing().eta_s == pytest.approx(1.0)


def test_progress_is_the_share_of_the_time_that_is_over() -> None:
    clock = Clock()
    progress = planned(clock, Phase("train", 100.0, scales=True), Phase("report", 10.0))
    clock.now_s += 20.0
    progress.enter("train")
    clock.now_s += 40.0
    standing = progress.at(0.4)
    assert standing.eta_s == pytest.approx(60.0 + 10.0)
    assert standing.progress == pytest.approx(60.0 / 130.0)


def test_a_phase_that_is_continued_is_judged_by_what_is_done_now() -> None:
    clock = Clock()
    progress = planned(clock, Phase("train", 1.0, scales=True))
    progress.enter("train", done=0.8)
    clock.now_s += 10.0
    assert progress.at(0.9).eta_s == pytest.approx(10.0)


def test_a_phase_that_takes_longer_than_expected_is_nearly_done_and_goes_on() -> None:
    clock = Clock()
    progress = planned(clock, Phase("workers", 10.0), Phase("train", 1.0))
    progress.enter("workers")
    clock.now_s += 1000.0
    standing = progress.standing()
    assert standing.eta_s == pytest.approx(1.0, abs=0.1)
    assert standing.progress < 1.0


def test_a_copy_that_was_ahead_is_never_contradicted() -> None:
    clock = Clock()
    progress = planned(clock, Phase("workers", 10.0), Phase("report", 10.0))
    progress.seen(0.97)
    progress.enter("report")
    assert progress.standing().progress == 0.97


def test_a_phase_has_the_words_it_was_given() -> None:
    progress = planned(Clock(), Phase("workers", 10.0, "waiting for 2 workers"))
    assert progress.standing().phase == "starting"
    assert progress.enter("workers").phase == "waiting for 2 workers"
    assert progress.enter("workers", "waiting for 1 worker").phase == "waiting for 1 worker"
    assert progress.enter("a pass of one's own").phase == "a pass of one's own"
