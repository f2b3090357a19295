"""`JobProgress`: how far a whole job is and how long it will take, from its phases and what each has taken.

Everyone who shows progress takes it from here, by way of the ticks of metrics.jsonl. A job is a sequence of
phases, each with the seconds that it is expected to take. The phases that go through the data share one
scale: a first pass that takes twice as long as expected makes twice as much of the epochs behind it. Progress
is the share of the time that is over, elapsed / (elapsed + left), so it and the time left never contradict
each other; it never falls, and stays below one until the job is over.

The same object serves the driver and, in a copy that is sent along, the workers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

_UNPLANNED_SHARE = 0.01  # of the bar, before anything is known of the job
_UNPLANNED_S = 10.0  # in which two thirds of that share are filled
_UNMEASURED_SHARE = 0.3  # of the bar, at most, before a phase that goes through the data has been measured
_SURE_AFTER_S = 2.0  # of a phase, or a tenth of it: from then on its own speed counts, not the expected one
_SURE_FRACTION = 0.1
_SLOWEST, _FASTEST = 1000.0, 0.001  # bounds of the scale of the data's phases
_LEAST = 1e-9  # a smaller fraction of a phase tells no speed
_NEARLY = 0.999

TEXTS = {
    "load": "loading libraries",
    "levels": "finding levels",
    "compile": "compiling",
    "read": "first pass",
    "solve": "first pass",
    "robust": "second pass, for robust errors",
    "train": "training",
    "metrics": "measuring the errors",
}
"""The phases' names in words, where a `Phase` brings none."""


@dataclass(frozen=True)
class Phase:
    """A part of a job.

    Attributes:
        name: identifies it.
        text: says it to people; where it is empty, what `TEXTS` has, else the name.
        seconds: that it is expected to take.
        scales: whether it goes through the data, so that its speed tells of the other such phases.

    """

    name: str
    seconds: float
    text: str = ""
    scales: bool = False

    @property
    def words(self) -> str:
        """What is said to people."""
        return self.text or TEXTS.get(self.name, self.name)


@dataclass(frozen=True)
class Standing:
    """Where a job is.

    Attributes:
        phase: in words.
        progress: 0 to 1, of the whole job.
        eta_s: seconds left of the whole job; None before anything is known of it.

    """

    phase: str
    progress: float
    eta_s: float | None


class JobProgress:
    """The progress of one job.

    Args:
        clock: seconds; Unix time, so that a copy on another machine goes on where this one is.

    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._began = self._entered = clock()
        self._phase = Phase("start", 1.0, "starting")
        self._later: list[Phase] = []
        self._planned = False
        self._fraction = self._done = 0.0
        self._first: tuple[float, float] | None = None  # seconds and fraction of the phase's first report
        self._scale = 1.0
        self._is_measured = False
        self._highest = 0.0
        self._is_over = False

    def plan(self, later: Iterable[Phase]) -> None:
        """Say which phases come after the present one."""
        self._later = list(later)
        self._planned = True

    def enter(self, name: str, text: str = "", done: float = 0.0) -> Standing:
        """Begin a phase, or change the text of the present one; phases planned before it are skipped.

        Args:
            name: of a planned phase; one that was not planned is put in front of those that are left.
            text: replaces the phase's own.
            done: the fraction of it that an earlier attempt has done, which takes no time now.

        """
        if name == self._phase.name:
            self._phase = replace(self._phase, text=text or self._phase.text)
            return self.standing()
        self._learn()
        names = [phase.name for phase in self._later]
        found = Phase(name, 0.0)
        if name in names:
            found = self._later[names.index(name)]
            self._later = self._later[names.index(name) + 1 :]
        self._phase = replace(found, text=text or found.text)
        self._entered, self._done = self._clock(), _fraction(done)
        self._fraction, self._first = self._done, None
        return self.standing()

    def at(self, fraction: float) -> Standing:
        """Say how much of the present phase is done, 0 to 1."""
        self._fraction = max(self._fraction, _fraction(fraction))
        if self._first is None and self._fraction > self._done:
            self._first = self._spent, self._fraction
        if self._phase.scales and self._measured_speed is not None:
            self._is_measured = True
        return self.standing()

    def seen(self, progress: float) -> None:
        """Take note of the progress that a copy of this object has told."""
        if math.isfinite(progress):
            self._highest = max(self._highest, min(progress, _NEARLY))
            self._is_measured = True

    def finish(self, text: str = "finished") -> Standing:
        """End the job."""
        self._phase, self._later, self._is_over = Phase("end", 0.0, text), [], True
        return self.standing()

    def standing(self) -> Standing:
        """Return where the job is now."""
        text = self._phase.words
        if self._is_over:
            self._highest = 1.0
            return Standing(text, 1.0, 0.0)
        elapsed = max(self._clock() - self._began, 0.0)
        if not self._planned:
            share = _UNPLANNED_SHARE * -math.expm1(-elapsed / _UNPLANNED_S)
            self._highest = max(self._highest, share)
            return Standing(text, self._highest, None)
        left = self._left_of_phase() + sum(self._expected(phase) for phase in self._later)
        share = elapsed / (elapsed + left) if elapsed + left > 0.0 else 0.0
        # A bar that was too far would have to stand still: before the work begins it is only guessed.
        most = _NEARLY if self._is_measured else _UNMEASURED_SHARE
        self._highest = max(self._highest, min(share, most))
        return Standing(text, self._highest, left)

    @property
    def _spent(self) -> float:
        return max(self._clock() - self._entered, 0.0)

    @property
    def _measured_speed(self) -> float | None:
        """The fraction of the phase that is done in a second; None where it is not known.

        The first report carries what comes once, such as a first step that compiles: it counts no more once
        there are others.
        """
        seconds, fraction = self._since_first
        if seconds < _SURE_AFTER_S / 2 or fraction <= _LEAST:
            seconds, fraction = self._spent, self._fraction - self._done
        return fraction / seconds if seconds > 0.0 and fraction > _LEAST else None

    @property
    def _since_first(self) -> tuple[float, float]:
        """Seconds and fraction of the phase since its first report."""
        if self._first is None:
            return 0.0, 0.0
        return self._spent - self._first[0], self._fraction - self._first[1]

    @property
    def _sureness(self) -> float:
        """How much the phase's own speed counts, 0 to 1."""
        seconds, fraction = self._since_first
        by_time = seconds / _SURE_AFTER_S if fraction > _LEAST else 0.0
        return min(1.0, max(by_time, (self._fraction - self._done) / _SURE_FRACTION))

    def _left_of_phase(self) -> float:
        expected = self._expected(self._phase)
        # A phase that takes longer than expected is always nearly done, and never done.
        late = expected * math.exp(-self._spent / expected) if expected > 0.0 else 0.0
        speed = self._measured_speed
        if speed is None:
            return late * (1.0 - self._fraction)
        sure = self._sureness
        return sure * (1.0 - self._fraction) / speed + (1.0 - sure) * expected * (1.0 - self._fraction)

    def _expected(self, phase: Phase) -> float:
        return phase.seconds * (self._present_scale() if phase.scales else 1.0)

    def _present_scale(self) -> float:
        """How many times longer the data's phases take than expected."""
        speed = self._measured_speed
        if not self._phase.scales or speed is None:
            return self._scale
        return self._blended(1.0 / speed, self._sureness)

    def _blended(self, seconds: float, sure: float) -> float:
        """Return the scale, with what a whole phase of so many seconds says of it counted that much."""
        if self._phase.seconds <= 0.0:
            return self._scale
        measured = min(max(seconds / self._phase.seconds, _FASTEST), _SLOWEST)
        return float(self._scale ** (1.0 - sure) * measured**sure)

    def _learn(self) -> None:
        """Keep the scale that the phase that ends has shown; a short one says more of its fixed costs."""
        if self._phase.scales and self._spent > 0.0 and self._done < 1.0:
            self._is_measured = True
            sure = min(1.0, self._spent / _SURE_AFTER_S)
            self._scale = self._blended(self._spent / (1.0 - self._done), sure)


def _fraction(value: float) -> float:
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
