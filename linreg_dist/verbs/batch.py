"""`run_batch`: many jobs, each in a process of its own.

A process of its own keeps one job's failure, memory and interrupt away from the others, and frees everything
a job held when it ends.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from linreg_dist.documents import BatchDocument, JobDocument, ResultDocument
from linreg_dist.errors import InterruptedRunError, LinregDistError, RunFailedError, SpecError
from linreg_dist.jobspec import JobSpec, resolved_yaml, spec_hash
from linreg_dist.run.ending.failure import error_record
from linreg_dist.run.folder import FAILED, INTERRUPTED, SUCCEEDED, RunFolder
from linreg_dist.run.ray.python_path import child_environment
from linreg_dist.run.watch.interrupts import stop_notice_interrupts
from linreg_dist.wording.json_text import parse_object

NOT_STARTED = "not started"
_SECONDS_TO_STOP = 30.0


class JobOutcome(JobDocument):
    """How one job of a batch ended."""

    @property
    def error(self) -> str | None:
        """The message of the error that ended it."""
        record = self.result.error if self.result else None
        return record.message if record else None


@dataclass(frozen=True)
class Batch:
    """The outcomes of all jobs, in the order they were given."""

    jobs: tuple[JobOutcome, ...]

    @property
    def status(self) -> str:
        """Succeeded if all have; interrupted if any was stopped or not started; else failed."""
        found = {job.status for job in self.jobs}
        if found & {INTERRUPTED, NOT_STARTED}:
            return INTERRUPTED
        return FAILED if FAILED in found else SUCCEEDED

    @property
    def exit_code(self) -> int:
        """0, 1 if a job failed, 130 if the batch was interrupted."""
        by_status: dict[str, type[LinregDistError]] = {
            FAILED: RunFailedError,
            INTERRUPTED: InterruptedRunError,
        }
        return by_status[self.status].exit_code if self.status in by_status else 0

    def document(self) -> BatchDocument:
        """Return what ``batch --json`` prints."""
        counts = Counter(job.status for job in self.jobs)
        return BatchDocument(status=self.status, counts=dict(counts), jobs=list(self.jobs))


def run_batch(
    jobs: Sequence[JobSpec],
    *,
    max_concurrent: int = 1,
    resume: bool = False,
    fresh: bool = False,
    verbose: bool = False,
    notify: Callable[[JobOutcome], None] | None = None,
) -> Batch:
    """Run `jobs`, at most `max_concurrent` at a time, and wait for all; one failure does not stop the rest.

    An interrupt (Ctrl-C, SIGTERM) is passed on to the jobs that run, which keep their checkpoints, and starts
    no other.

    Args:
        jobs: specs without ``matrix`` (`linreg_dist.jobspec.expand_matrix`).
        max_concurrent: each job of ``num_workers: 0`` uses all cores, so more than one helps where the jobs
            are small or run on a cluster.
        resume: take the runs that have succeeded with the same spec as they are, without looking at the data
            again. Without it every job is started, and the ones that find their run finished report it.
        fresh: start every job over.
        verbose: let the jobs' own progress and messages through to stderr.
        notify: called from this thread with each outcome as it comes.

    Raises:
        SpecError: two jobs would write to one folder.

    """
    _refuse_shared_folders(jobs)
    processes = _Processes()
    with tempfile.TemporaryDirectory(prefix="linreg-dist-batch-") as scratch, stop_notice_interrupts():
        pool = ThreadPoolExecutor(max_concurrent, thread_name_prefix="batch")
        futures: dict[Future[JobOutcome], int] = {}
        try:
            for index, job in enumerate(jobs):
                file = Path(scratch) / f"{index}.yaml"
                futures[pool.submit(_run_one, job, file, processes, resume, fresh, verbose)] = index
            for future in _as_they_end(futures):
                if notify:
                    notify(future.result())
        except KeyboardInterrupt:
            _stop(processes, list(futures))
        finally:
            pool.shutdown()
    return Batch(tuple(future.result() for future in futures))


class _Processes:
    """The processes that run now; after `stop` no other starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive: set[subprocess.Popen[str]] = set()
        self._stopped = False

    @contextmanager
    def start(self, command: Sequence[str], *, verbose: bool) -> Iterator[subprocess.Popen[str] | None]:
        """Start a process, and count it as running until the block ends; None after `stop`."""
        with self._lock:
            process = lifeline = None
            if not self._stopped:
                # A session of its own: a Ctrl-C on the terminal reaches it once, through `stop`, not twice.
                process = subprocess.Popen(  # noqa: S603 (our own interpreter and package)
                    command,
                    stdin=subprocess.PIPE,  # never written to: it closes when this process ends, however
                    stdout=subprocess.PIPE,
                    stderr=None if verbose else subprocess.PIPE,
                    text=True,
                    env=child_environment(),
                    start_new_session=True,
                )
                self._alive.add(process)
                lifeline, process.stdin = process.stdin, None  # `communicate` would close it at once
        try:
            yield process
        finally:
            if process is not None:
                if lifeline is not None:
                    lifeline.close()
                with self._lock:
                    self._alive.discard(process)

    def stop(self) -> None:
        """Interrupt what runs, once."""
        # Where a shell script put us in the background we are deaf to SIGINT, and so are our children.
        deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        with self._lock:
            self._stopped = True
            for process in self._alive:
                process.send_signal(signal.SIGTERM if deaf else signal.SIGINT)

    def kill(self) -> None:
        """End what still runs, with everything that it started."""
        with self._lock:
            for process in self._alive:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


def _stop(processes: _Processes, futures: Sequence[Future[JobOutcome]]) -> None:
    """Interrupt the jobs and wait for them; a second interrupt, or a long wait, kills them."""
    processes.stop()
    try:
        for _ in _as_they_end(futures, _SECONDS_TO_STOP):
            pass
    except KeyboardInterrupt:
        processes.kill()
    else:
        processes.kill()


def _as_they_end(
    futures: Iterable[Future[JobOutcome]], timeout_s: float = math.inf
) -> Iterator[Future[JobOutcome]]:
    """Yield futures as they complete, up to a time limit.

    Unlike `as_completed` it looks up every second: a library that handles Ctrl-C itself, as polars does, lets
    a wait without a limit sleep through it.
    """
    left, deadline = set(futures), time.monotonic() + timeout_s
    while left and time.monotonic() < deadline:
        done, left = wait(left, timeout=min(1.0, timeout_s), return_when=FIRST_COMPLETED)
        yield from done


def _run_one(
    job: JobSpec, file: Path, processes: _Processes, resume: bool, fresh: bool, verbose: bool
) -> JobOutcome:
    try:
        return _run_in_process(job, file, processes, resume, fresh, verbose)
    except (OSError, ValueError, LinregDistError) as error:  # its folder or result.json: the others' may do
        record = error_record(RunFailedError(f"the job could not be started: {error}"))
        result = ResultDocument(status=FAILED, name=job.name, error=record)
        return _outcome(job, FAILED, result)


def _run_in_process(
    job: JobSpec, file: Path, processes: _Processes, resume: bool, fresh: bool, verbose: bool
) -> JobOutcome:
    folder = RunFolder.of(job)
    before = None if fresh else folder.result_here()
    if resume and before is not None and before.status == SUCCEEDED and _is_run_of(folder, job):
        return _outcome(job, SUCCEEDED, before)
    file.write_text(resolved_yaml(job))  # ${VAR} stays ${VAR}: the process has this one's environment
    command = [sys.executable, "-m", "linreg_dist", "train", str(file), "--json", "--until-stdin-closes"]
    command += ["--fresh"] if fresh else []
    command += ["-v"] if verbose else []
    began = time.perf_counter()
    with processes.start(command, verbose=verbose) as process:
        if process is None:
            return _outcome(job, NOT_STARTED, None)
        out, err = process.communicate()
    seconds = time.perf_counter() - began
    result = _document(out)
    if process.returncode == 0 and result is not None:
        return _outcome(job, SUCCEEDED, result, ran=result != before, exit_code=0, seconds=seconds)
    if result is None or not result.error:
        error = RunFailedError(_why_died(process.returncode, err or ""))
        result = ResultDocument(status=FAILED, error=error_record(error))
    stopped = process.returncode in (InterruptedRunError.exit_code, -signal.SIGINT)
    status = INTERRUPTED if stopped else FAILED
    named = result.model_copy(update={"status": status, "name": job.name})
    return _outcome(job, status, named, ran=True, exit_code=process.returncode, seconds=seconds)


def _outcome(
    job: JobSpec,
    status: str,
    result: ResultDocument | None,
    *,
    ran: bool = False,
    exit_code: int | None = None,
    seconds: float = 0.0,
) -> JobOutcome:
    return JobOutcome(
        name=job.name, status=status, ran=ran, exit_code=exit_code, seconds=seconds, result=result
    )


def _is_run_of(folder: RunFolder, job: JobSpec) -> bool:
    try:
        return spec_hash(folder.spec()) == spec_hash(job)
    except (SpecError, FileNotFoundError):  # it cannot be read again; `train` finds out why, and says so
        return False


def _document(out: str) -> ResultDocument | None:
    try:
        return ResultDocument.from_json(parse_object(out))
    except ValueError:
        return None


def _why_died(code: int, err: str) -> str:
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    last = f": {lines[-1]}" if lines else ""
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the kernel does that when memory runs out" if code == -signal.SIGKILL else ""
        return f"its process was ended by {name}{hint}{last}"
    return f"its process ended with exit code {code} and no result{last}"


def _refuse_shared_folders(jobs: Sequence[JobSpec]) -> None:
    counts = Counter(RunFolder.of(job).path for job in jobs)
    shared = [str(path) for path, count in counts.items() if count > 1]
    if shared:
        raise SpecError(
            f"several jobs of this batch would write to {', '.join(shared)}; expected a name of its own for "
            "each. Give the specs different names"
        )
