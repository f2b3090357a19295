"""A round: a run that is disturbed at a random moment, carried on, and compared with an undisturbed one."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from linreg_dist.model.linear_model import LinearModel
from tests.faults.driver import Driver, HungError
from tests.faults.injuries import FAULTS, Patient, newest_checkpoint
from tests.faults.jobs import (
    OTHER_WORKERS_RTOL,
    SOLVERS,
    Job,
    write_data,
    write_job,
)
from tests.nodes import Nodes

# Nothing of a round may go on for longer: two attempts, and what is between them.
TIMEOUT_S = {0: 120.0, 2: 360.0}
_STARTUP_SHARE = 0.25  # of the rounds are hit before the first row is read
_NUM_ROWS = {"exact": 24_000, "sgd": 20_000, "adam": 20_000, "lbfgs": 20_000}

# (fault, workers, weight)
_LOCAL = (
    ("driver killed", 0, 20),
    ("driver told to stop", 0, 12),
    ("driver killed, newest checkpoint damaged", 0, 16),
)
_CLUSTER = (
    ("worker killed", 2, 16),
    ("node killed, replaced after 1 s", 2, 12),
    ("driver killed", 2, 7),
    ("driver told to stop", 2, 5),
    ("driver interrupted", 2, 4),
    ("driver killed, newest checkpoint damaged", 2, 4),
    ("driver killed, finished without the cluster", 2, 4),
    ("head killed and restarted", 2, 4),
)


@dataclass(frozen=True)
class Draw:
    """What a round does, all of it from a seed and a number.

    Attributes:
        workers: 0 is local mode, 2 are one on each of two nodes.
        phase: whether the fault comes before the first row is read or after.
        fraction: how far into that phase, by the undisturbed run's seconds.

    """

    seed: int
    number: int
    solver: str
    workers: int
    fault: str
    phase: Literal["start-up", "training"]
    fraction: float

    @classmethod
    def of(cls, seed: int, number: int, workers: Sequence[int] = (0, 2), faults: Sequence[str] = ()) -> Draw:
        """Draw a round, of those with some numbers of workers and, unless empty, some faults only."""
        chance = random.Random(f"{seed}/{number}")  # noqa: S311 (not for secrets)
        menu = [
            item for item in _LOCAL + _CLUSTER if item[1] in workers and (not faults or item[0] in faults)
        ]
        fault, num_workers, _ = chance.choices(menu, [weight for *_, weight in menu])[0]
        phase: Literal["start-up", "training"] = (
            "start-up" if chance.random() < _STARTUP_SHARE else "training"
        )
        return cls(seed, number, chance.choice(SOLVERS), num_workers, fault, phase, round(chance.random(), 3))


@dataclass(frozen=True)
class Ending:
    """How a run ended, and how long it took from the start of the command to its last end.

    Attributes:
        startup_s: until the first line of metrics.jsonl.
        coef: coefficients and the intercept.

    """

    seconds: float
    startup_s: float
    coef: npt.NDArray[np.float64]
    rows: dict[str, Any]


@dataclass
class Record:
    """What is written down of a round.

    Attributes:
        result: ``ok``, or what was wrong.
        hit: whether the fault came while the command ran; a run that was faster than its moment is compared
            all the same.
        seconds, extra_s: in all, and beyond the undisturbed run.
        exit_codes: of the attempts.
        checkpoint_age_s: how old the newest checkpoint was when the driver was killed in training.
        difference: largest of a coefficient, relatively; bit_equal says that there is none.

    """

    draw: Draw
    result: str = "ok"
    hit: bool = False
    seconds: float = 0.0
    extra_s: float = 0.0
    exit_codes: list[int] = field(default_factory=list)
    checkpoint_age_s: float | None = None
    difference: float | None = None
    bit_equal: bool | None = None

    def to_json(self) -> str:
        document = {**asdict(self), **asdict(self.draw)}
        del document["draw"]
        for key in ("seconds", "extra_s", "checkpoint_age_s"):
            document[key] = None if document[key] is None else round(document[key], 3)
        return json.dumps(document, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Record:
        document = json.loads(line)
        draw = Draw(**{key.name: document.pop(key.name) for key in fields(Draw)})
        return cls(draw, **document)


class Suite:
    """Plays rounds on one cluster, which is started when the first of them needs it.

    Args:
        folder: gets the data, the runs and their logs.
        quick: take one undisturbed run in local mode as the reference of all rounds of a solver, instead of
            the faster of two on the same number of workers.

    """

    def __init__(self, folder: Path, *, quick: bool = False) -> None:
        self._folder = folder
        self._quick = quick
        self._nodes: Nodes | None = None
        self._undisturbed: dict[tuple[str, int], Ending] = {}
        write_data(folder)

    def __enter__(self) -> Suite:
        return self

    def __exit__(self, *_: object) -> None:
        if self._nodes is not None:
            self._nodes.stop()

    def play(self, draw: Draw) -> Record:
        """Play a round; what goes wrong in it stands in its record."""
        record = Record(draw)
        try:
            self._play(draw, record)
        except (HungError, AssertionError) as error:
            record.result = f"{type(error).__name__}: {error}"
            self._renew_cluster()
        return record

    def undisturbed(self, solver: str, workers: int) -> Ending:
        """Return how a job ends that nobody disturbs; two runs of it must have the same bits."""
        key = solver, workers
        if key not in self._undisturbed:
            attempts = range(1 if self._quick else 2)
            endings = [self._leave_alone(solver, workers, attempt) for attempt in attempts]
            assert np.array_equal(endings[0].coef, endings[-1].coef), f"two runs of {solver} differ"
            self._undisturbed[key] = min(endings, key=lambda ending: ending.seconds)
        return self._undisturbed[key]

    def _leave_alone(self, solver: str, workers: int, attempt: int) -> Ending:
        job = write_job(self._folder, solver, f"undisturbed-{solver}-{workers}-{attempt}")
        shutil.rmtree(job.run, ignore_errors=True)
        deadline = time.monotonic() + TIMEOUT_S[workers]
        driver = Driver(job.command(workers, self._address(workers)), self._log(job), deadline)
        try:
            driver.wait_until(lambda: _has_lines(job))
            startup_s = time.monotonic() - driver.started
            code = driver.wait()
        finally:
            driver.close()
        assert code == 0, f"the undisturbed run ended with {code}: {self._tail(job)}"
        return _ending(job, time.monotonic() - driver.started, startup_s)

    def _play(self, draw: Draw, record: Record) -> None:
        reference_workers = 0 if self._quick else draw.workers
        expected = self.undisturbed(draw.solver, reference_workers)
        fault = FAULTS[draw.fault]
        job = write_job(self._folder, draw.solver, f"round-{draw.seed}-{draw.number}")
        shutil.rmtree(job.run, ignore_errors=True)
        address = self._address(draw.workers)
        deadline = time.monotonic() + TIMEOUT_S[draw.workers]
        driver = Driver(job.command(draw.workers, address), self._log(job), deadline)
        began = driver.started
        try:
            if self._wait_for_moment(driver, job, draw, expected):
                record.checkpoint_age_s = _checkpoint_age(job) if draw.phase == "training" else None
                chance = random.Random(f"{draw.seed}/{draw.number}/injury")  # noqa: S311
                patient = Patient(job, driver, self._nodes, chance)
                fault.injure(patient)
                record.hit = patient.is_hit
            record.exit_codes.append(driver.wait())
            if record.exit_codes[-1] != 0:
                assert record.exit_codes[-1] in fault.exit_codes, (
                    f"ended with {record.exit_codes[-1]} by {draw.fault}: {self._tail(job)}"
                )
                driver.close()
                workers = 0 if fault.moves else draw.workers
                driver = Driver(job.command(workers, address), self._log(job), deadline)
                record.exit_codes.append(driver.wait())
        finally:
            driver.close()
        assert record.exit_codes[-1] == 0, f"ended with {record.exit_codes[-1]}: {self._tail(job)}"
        ended = _ending(job, time.monotonic() - began, 0.0)
        record.seconds, record.extra_s = ended.seconds, ended.seconds - expected.seconds
        same = reference_workers == (0 if fault.moves else draw.workers)
        self._compare(draw, record, ended, expected, same_workers=same)

    @staticmethod
    def _compare(draw: Draw, record: Record, ended: Ending, expected: Ending, *, same_workers: bool) -> None:
        record.bit_equal = bool(np.array_equal(ended.coef, expected.coef))
        record.difference = float(np.max(np.abs(ended.coef / expected.coef - 1.0)))
        tolerance = 0.0 if same_workers else OTHER_WORKERS_RTOL[draw.solver]
        assert record.difference <= tolerance, (
            f"a coefficient differs by {record.difference:.2g} of itself, which is more than {tolerance:g}"
        )
        assert ended.rows == expected.rows, f"rows {ended.rows}, expected {expected.rows}"
        total = ended.rows["train"] + ended.rows["validation"]
        assert total == _NUM_ROWS[draw.solver], f"{total} rows of {_NUM_ROWS[draw.solver]}"

    @staticmethod
    def _wait_for_moment(driver: Driver, job: Job, draw: Draw, expected: Ending) -> bool:
        since, span = driver.started, expected.startup_s
        if draw.phase == "training":
            if not driver.wait_until(lambda: _has_lines(job)):
                return False
            since, span = time.monotonic(), expected.seconds - expected.startup_s
        return driver.wait_until(lambda: time.monotonic() >= since + draw.fraction * span)

    def _address(self, workers: int) -> str | None:
        if workers == 0:
            return None
        if self._nodes is None:
            self._nodes = Nodes()
            self._nodes.start()
        return self._nodes.address

    def _renew_cluster(self) -> None:
        """What a round that went wrong has left is not for the next."""
        if self._nodes is not None:
            self._nodes.stop()
            self._nodes = None

    def _log(self, job: Job) -> Path:
        return self._folder / f"{job.name}.log"

    def _tail(self, job: Job) -> str:
        return self._log(job).read_text(errors="replace")[-1500:]


def _has_lines(job: Job) -> bool:
    try:
        return (job.run / "metrics.jsonl").stat().st_size > 0
    except FileNotFoundError:
        return False


def _checkpoint_age(job: Job) -> float | None:
    try:
        return time.time() - max(file.stat().st_mtime for file in newest_checkpoint(job))
    except (ValueError, FileNotFoundError):  # there is none yet, or it was just replaced
        return None


def _ending(job: Job, seconds: float, startup_s: float) -> Ending:
    result = json.loads((job.run / "result.json").read_text())
    assert result["status"] == "succeeded", f"status {result['status']}"
    model = LinearModel.load(job.run / "model")
    coef = np.append(model.coef_.ravel(), model.intercept_)
    return Ending(seconds, startup_s, coef, result["rows"])
