"""The driver's end of a job's progress: what happens before the workers begin and after they have ended.

The workers write their ticks to metrics.jsonl. Here they are followed and handed to whoever shows progress,
with the driver's own ticks before and behind them, all from one `JobProgress`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from linreg_dist import limits
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.documents import Event, Tick
from linreg_dist.jobspec import JobSpec
from linreg_dist.run.progress.follow import EventSink, follow_metrics
from linreg_dist.storage import Location
from linreg_dist.training.job import TrainJob
from linreg_dist.training.metrics_log import TICK_EVERY_S, tick_of
from linreg_dist.training.progress import JobProgress, Phase, Standing

_LOAD_S = 2.0  # to import what trains
_RAY_S = 5.0  # to start Ray here
_WORKERS_S = 10.0  # for Ray Train's controller and the imports of a worker
_EACH_WORKER_S = 1.0  # of workers that import on the same cores
_VALUES_PER_CORE_S = 50e6  # decoded and summed in a first pass
_LEVELS_SHARE = 0.5  # of a first pass, to find levels
_EPOCH_S = 0.02, 0.2  # what an epoch costs beside its rows, in this process and on workers
_REPORT_S = 1.0


class DriverProgress:
    """The progress of one job as its driver tells it, about every second.

    Args:
        sink: takes every event of the job, from several threads but one at a time; None for nobody.

    """

    def __init__(self, sink: EventSink | None) -> None:
        self.job = JobProgress()
        self._sink = sink
        self._lock = threading.RLock()
        self._workers_tell = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._repeat, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self._sink is not None:
            self._tell(self.job.standing())
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._sink is not None:
            self._thread.join()

    def plan(self, job: TrainJob) -> None:
        """Lay out the phases of a job, now that its data is known."""
        with self._lock:
            self.job.plan(phases_of(job))

    def enter(self, name: str, text: str = "") -> None:
        """Begin a phase of the driver's."""
        with self._lock:
            self._workers_tell = False
            self._tell(self.job.enter(name, text))

    def finish(self) -> None:
        """Tell that the job is done."""
        with self._lock:
            self._workers_tell = False
            self._tell(self.job.finish())
            self._ended.set()

    def event(self, event: Event) -> None:
        """Take an event of the workers', and hand it on."""
        with self._lock:
            if isinstance(event, Tick):
                self.job.seen(event.progress)
                self._workers_tell = True
            if self._sink is not None:
                self._sink.event(event)

    @contextmanager
    def following(self, metrics: Location) -> Iterator[None]:
        """Hand on what the workers write to metrics.jsonl while the ``with`` block runs."""
        if self._sink is None:
            yield
            return
        with follow_metrics(metrics, self):
            yield

    def note(self, metrics: Location) -> None:
        """Add the present standing to metrics.jsonl, for those who look at the file.

        An object, which cannot be appended to, is left as the workers wrote it.
        """
        if not isinstance(metrics, Path):
            return
        with self._lock:
            line = json.dumps(tick_of(self.job.standing()).to_json()) + "\n"
        with suppress(OSError):
            descriptor = os.open(metrics, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
            with open(descriptor, "a") as file:
                file.write(line)

    def _tell(self, standing: Standing) -> None:
        if self._sink is not None:
            self._sink.event(tick_of(standing))

    def _repeat(self) -> None:
        while not self._ended.wait(TICK_EVERY_S):
            with self._lock:
                if not (self._workers_tell or self._ended.is_set()):
                    self._tell(self.job.standing())


def phases_of(job: TrainJob) -> list[Phase]:
    """Return the phases of a job after the footers have been read, with the seconds they may take."""
    spec, phases = job.spec, [Phase("load", _LOAD_S)]
    workers = spec.scaling.max_workers
    if workers > 0 or spec.cluster.address is not None:
        phases.append(Phase("ray", _RAY_S, "starting Ray" if _starts_ray(spec) else "connecting to Ray"))
    if workers > 0:
        phases.append(Phase("workers", _WORKERS_S + _EACH_WORKER_S * workers, waiting_text(workers)))
    pass_s = first_pass_s(job.manifest, job.columns.known_width + len(job.columns.targets), spec)
    if any(column.needs(spec.data) for column in job.columns.kinds):
        phases.append(Phase("levels", _LEVELS_SHARE * pass_s, scales=True))
    phases.append(Phase("compile", 0.0))
    epochs_s = spec.solver.epochs * _EPOCH_S[workers > 0]
    phases += [
        Phase(name, weight * pass_s + (epochs_s if name == "train" else 0.0), scales=True)
        for name, weight in job.solver.passes(spec)
    ]
    return [*phases, Phase("report", _REPORT_S, "writing the report" if spec.outputs.report else "finishing")]


def first_pass_s(manifest: Manifest, width: int, spec: JobSpec) -> float:
    """Return the seconds that a pass over files that are in memory may take."""
    scaling = spec.scaling
    cores = scaling.max_workers * scaling.resources_per_worker.get("CPU", 1.0) or limits.available_cpus()
    return 0.05 + manifest.num_rows * max(width, 1) / (_VALUES_PER_CORE_S * max(cores, 1.0))


def waiting_text(workers: int) -> str:
    """Return ``waiting for 2 workers``."""
    return f"waiting for {workers} worker{'' if workers == 1 else 's'}"


def _starts_ray(spec: JobSpec) -> bool:
    return spec.cluster.address is None and not os.environ.get("RAY_ADDRESS")
