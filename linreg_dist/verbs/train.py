"""`train`: one job end to end, from a spec to a model and a result."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linreg_dist.data.design.columns import Columns
from linreg_dist.data.plan import num_lanes
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.documents import Outcome, ResultDocument
from linreg_dist.errors import ClusterError, DataError, LinregDistError
from linreg_dist.jobspec import JobSpec, load_spec
from linreg_dist.model.covariance import FILE_NAME as COVARIANCE_FILE
from linreg_dist.run.ending.failure import explain_unwritten, failed_result, record_failure, unwritten_logged
from linreg_dist.run.ending.finish import Finished, finish_job, kept_if_refused
from linreg_dist.run.finished_run import Run
from linreg_dist.run.folder import SUCCEEDED, RunFolder
from linreg_dist.run.guest import settings_kept
from linreg_dist.run.local_limits import check_this_machine
from linreg_dist.run.lock.hold import RunLock, hold_run
from linreg_dist.run.ours import discard
from linreg_dist.run.progress.driver import DriverProgress
from linreg_dist.run.progress.follow import EventSink, follow_metrics
from linreg_dist.run.watch.interrupts import interrupt_main_thread, interruptible, unblocked_interrupts
from linreg_dist.run.watch.submitted_job import watch_supervisor
from linreg_dist.run.watch.this_process import watch_this_process
from linreg_dist.solvers import SOLVERS
from linreg_dist.solvers.exact.sums.partials import FOLDER as MOMENT_CHECKPOINTS
from linreg_dist.storage import (
    Location,
    ObjectPath,
    is_same_place,
    move_file,
    no_patience,
    remove_tree,
)
from linreg_dist.tracking.session import Tracking, trackers_of
from linreg_dist.tracking.tracker import TrackedRun, Tracker
from linreg_dist.training.checkpoints.first_pass import FOLDER as FIRST_PASS
from linreg_dist.training.job import TrainJob
from linreg_dist.verbs.available import refuse_unavailable
from linreg_dist.verbs.opening import read_data, read_part
from linreg_dist.verbs.updating.changed import IfChanged, settle_change
from linreg_dist.verbs.updating.update import Addition, plan_update
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

Watcher = Callable[[Location], AbstractContextManager[Any]]


def train(
    spec: str | Path | Mapping[str, Any] | JobSpec,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    fresh: bool = False,
    verbose: bool = False,
    watch: Watcher | None = None,
    update: str | Path | ObjectPath | None = None,
    if_changed: IfChanged = "refuse",
    add: Sequence[str] = (),
    progress: EventSink | None = None,
    trackers: Sequence[Tracker] = (),
) -> Run:
    """Run one job and wait for it.

    Args:
        spec: a spec file, the same as a dict, or a `JobSpec`.
        overrides: ``{"model.l2": 0.1}``, or ``["model.l2=0.1"]`` as on the command line.
        fresh: start over where a run of this name exists; else an unfinished one is continued and a finished
            one returned.
        verbose: let Ray's log lines through.
        watch: called with the path of metrics.jsonl, returns a context that is open while training goes on.
        update: the folder of an earlier run of the exact solver: only files that are new since are read, and
            their rows are added to its statistics; of a table also those that a newer snapshot removed, whose
            rows are taken away. It may be this very run, whose history is then kept.
        if_changed: what to do where the spec or the data of a finished run of this name has changed.
        add: paths or globs of files whose rows are added to the run of this name; the others stay unread.
        progress: takes every event of the job as it happens, also before and after the fit.
        trackers: told of the run beside those of the spec.
        trackers: told of the run beside those of the spec.

    Raises:
        SpecError: the spec is invalid, or its name belongs to a run of another spec or to a folder that is no
            run's.
        DataError: the data does not fit the spec.
        ClusterError: the cluster is unreachable or too small.
        StorageError: an object store does not answer; a finished model is kept in the current directory.
        RunInUseError: another driver works on the run of this name.
        RunFailedError: training could not finish, or another driver took the run over.
        InterruptedRunError: it was stopped by an interrupt.

    """
    options = _Options(fresh, verbose, watch, update, if_changed, tuple(add), tuple(trackers))
    with DriverProgress(progress) as told:
        run = _hold_and_train(load_spec(spec, overrides), told, options)
        told.finish()
    return run


@dataclass(frozen=True)
class _Options:
    """The arguments of `train` beside the job."""

    fresh: bool
    verbose: bool
    watch: Watcher | None
    update: str | Path | ObjectPath | None
    if_changed: IfChanged
    add: tuple[str, ...]
    trackers: tuple[Tracker, ...]


def _hold_and_train(checked: JobSpec, progress: DriverProgress, options: _Options) -> Run:
    refuse_unavailable(checked)
    check_this_machine(checked)
    folder = RunFolder.of(checked)
    folder.require_usable(checked, fresh=options.fresh)
    in_main_thread = threading.current_thread() is threading.main_thread()
    on_loss = interrupt_main_thread if in_main_thread else None
    with settings_kept(), unblocked_interrupts(), hold_run(folder.path, on_loss=on_loss) as lock:
        try:
            return _train(checked, folder, lock, progress, options)
        except KeyboardInterrupt:
            lock.check()  # it may have come from there
            raise


def _train(
    checked: JobSpec, folder: RunFolder, lock: RunLock, progress: DriverProgress, options: _Options
) -> Run:
    tracking = Tracking([*trackers_of(checked), *options.trackers], required=checked.tracking.required)
    fresh, add = options.fresh, options.add
    began = time.time()
    progress.enter("footers", "reading footers")
    try:
        with (
            interruptible() as interruption,
            watch_this_process(checked.run.stuck_after_s, interruption),
            watch_supervisor(interruption),
        ):
            manifest, columns = read_part(checked, folder, add, fresh=fresh) if add else read_data(checked)
    except LinregDistError as error:
        with unwritten_logged(folder, error):
            folder.fail_early(failed_result(checked, error))
        raise
    addition = None if options.update is None else plan_update(options.update, checked, manifest, columns)
    if options.update is None and not fresh:
        fresh, addition = settle_change(
            folder, checked, manifest, columns, options.if_changed, adds=bool(add)
        )
        if fresh:
            folder.require_usable(checked, fresh=True)
    if addition is not None and addition.is_empty:
        return Run(addition.run, _finished(addition.run), already_finished=True)
    attempt = _Attempt(checked, manifest, columns, addition, folder, lock, progress, began, options, tracking)
    if addition is not None and is_same_place(addition.run, folder.path):
        return _update_in_place(attempt)
    return _run(attempt, fresh=fresh)


@dataclass(frozen=True)
class _Attempt:
    """One try at a job, whose data is known and whose folder is held.

    Attributes:
        spec, manifest, columns: what is run, on which data; of an update the manifest of all data.
        addition: what an update adds, to which earlier run.
        folder, lock: the run's.
        progress: of the job.
        began: Unix time.
        options: what the caller asked for.
        tracking: of the run.

    """

    spec: JobSpec
    manifest: Manifest
    columns: Columns
    addition: Addition | None
    folder: RunFolder
    lock: RunLock
    progress: DriverProgress
    began: float
    options: _Options
    tracking: Tracking

    def begin_tracking(self) -> None:
        """Tell the trackers that the training begins.

        Raises:
            StorageError: one that is required does not answer.

        """
        discard(self.folder.path, "tensorboard")  # of an attempt before this one
        self.tracking.start(TrackedRun.of(self.spec, self.folder.path, self.manifest, self.columns))

    def fit(self, last_words: Callable[[ClusterError], None]) -> tuple[TrainJob, Finished]:
        """Train, and write all but what lets the run count.

        Args:
            last_words: called where the head of the cluster is lost and this process may be killed for it.

        """
        folder, progress = self.folder, self.progress
        job = plan_job(self.spec, self.manifest, self.columns, folder, self.addition)
        progress.plan(job)
        outcome = _run_workers(
            job,
            folder,
            progress,
            verbose=self.options.verbose,
            watch=self.options.watch,
            last_words=last_words,
            tracking=self.tracking,
        )
        self.lock.check()
        progress.enter("report")
        progress.note(folder.metrics_jsonl)
        finished = finish_job(job, self.manifest, folder, outcome, self.began)
        with kept_if_refused(finished, folder):
            finished.write(folder)
        self.lock.check()
        return job, finished


def _run(attempt: _Attempt, *, fresh: bool) -> Run:
    """Run a job in a folder of its own; its failure is its result."""
    spec, folder = attempt.spec, attempt.folder
    with explain_unwritten(folder):
        earlier = folder.begin(spec, attempt.manifest.digest, fresh=fresh)
    if earlier is not None:
        return Run(folder.path, earlier, already_finished=True)
    try:
        attempt.begin_tracking()
        job, finished = attempt.fit(lambda error: record_failure(folder, spec, error))
        with kept_if_refused(finished, folder):
            _keep_statistics(job, folder)
            folder.finish(finished.result)
    except (Exception, KeyboardInterrupt) as error:
        attempt.lock.check()  # what a driver that lost its run ran into is not the run's result
        record_failure(folder, spec, error)
        attempt.tracking.finish(failed_result(spec, error))
        raise
    attempt.tracking.finish(finished.result, finished.model)
    return Run(folder.path, finished.result)


def _update_in_place(attempt: _Attempt) -> Run:
    """Update the run in the job's own folder; where that fails, the earlier result still stands."""
    folder = attempt.folder
    folder.begin_update()
    try:
        attempt.begin_tracking()
        job, finished = attempt.fit(lambda _: None)
    except (Exception, KeyboardInterrupt) as error:
        attempt.lock.check()
        attempt.tracking.finish(failed_result(attempt.spec, error))
        raise
    with kept_if_refused(finished, folder):
        # The statistics last: until they are there, the same update would be made again, and not twice.
        folder.finish_update(attempt.spec, attempt.manifest.digest, finished.result)
        _keep_statistics(job, folder)
    attempt.tracking.finish(finished.result, finished.model)
    return Run(folder.path, finished.result)


def plan_job(
    spec: JobSpec,
    manifest: Manifest,
    columns: Columns,
    folder: RunFolder,
    addition: Addition | None = None,
) -> TrainJob:
    """Decide what ``auto`` leaves open before any worker starts."""
    if addition is not None:
        manifest, columns = addition.to_read, addition.columns
    shards = spec.scaling.virtual_shards
    row_nbytes = max(group.num_bytes // group.num_rows for group in manifest.row_groups)
    scaling = spec.scaling
    lanes = num_lanes(
        manifest,
        max(1, scaling.max_workers),
        row_nbytes,
        None if shards == "auto" else shards,
        cached=(scaling.memory_budget_bytes, scaling.disk_budget_bytes) != (0, 0),
    )
    choice = SOLVERS[spec.solver.name].choose(
        spec, is_update=addition is not None and addition.statistics is not None
    )
    most = choice.solver.most_lanes(spec, columns)
    if most is not None and shards == "auto":
        lanes = max(min(lanes, scaling.max_workers), min(lanes, most))
    return TrainJob(
        spec,
        manifest,
        columns,
        lanes,
        choice,
        folder.path,
        encoding=None if addition is None else addition.encoding,
        update_from=None if addition is None else addition.statistics,
        dropped=frozenset() if addition is None else addition.dropped,
        removed=frozenset() if addition is None else addition.removed,
    )


def _run_workers(
    job: TrainJob,
    folder: RunFolder,
    progress: DriverProgress,
    *,
    verbose: bool,
    watch: Watcher | None,
    last_words: Callable[[ClusterError], None],
    tracking: Tracking,
) -> Outcome:
    progress.enter("load")
    from linreg_dist.run.ray.session import ray_session

    workers = job.spec.scaling.max_workers
    if workers > 0 or job.spec.cluster.address is not None:
        progress.enter("ray")
    with ray_session(job.spec, verbose=verbose, last_words=last_words) as head:
        folder.metrics_jsonl.unlink(missing_ok=True)
        if workers > 0:
            progress.enter("workers")
        with (
            progress.following(folder.metrics_jsonl),
            watch(folder.metrics_jsonl) if watch else nullcontext(),
            follow_metrics(folder.metrics_jsonl, tracking) if tracking.is_on else nullcontext(),
        ):
            try:
                if workers == 0:
                    from linreg_dist.run.here import fit_here

                    outcome = fit_here(job, head=head, progress=progress.job)
                else:
                    from linreg_dist.run.ray.trainer import fit

                    outcome = fit(job, verbose=verbose, head=head, progress=progress.job)
            finally:
                # Ray's own bookkeeping would resume a finished run; ours lies in checkpoints/.
                with no_patience():
                    remove_tree(folder.ray_storage, ignore_errors=True)
    return outcome


def _keep_statistics(job: TrainJob, folder: RunFolder) -> None:
    """Let the statistics and the covariance that the run left count; remove the checkpoints behind them."""
    if job.pending_statistics.exists():
        move_file(job.pending_statistics, folder.statistics)
    job.pending_module.unlink(missing_ok=True)  # the model has its weights
    if job.pending_covariance.exists():
        move_file(job.pending_covariance, folder.model / COVARIANCE_FILE)
    for used_up in (FIRST_PASS, MOMENT_CHECKPOINTS):
        discard(job.run_dir, used_up)


def _finished(run: Location) -> ResultDocument:
    """Return the result of a run that has succeeded.

    Raises:
        DataError: it has not.

    """
    result = RunFolder(run).result_here() if run.is_dir() else None
    if result is None or result.status != SUCCEEDED:
        raise DataError(
            f"there is no new file to add to {run}, and it is no run that has succeeded, whose result could "
            "stand; run the job without --update"
        )
    return result
