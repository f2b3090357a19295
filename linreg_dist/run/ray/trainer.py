"""Ray Train for a planned job: fit, and attribute errors."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import replace
from typing import Any

from linreg_dist.documents import Outcome
from linreg_dist.errors import (
    ClusterError,
    InterruptedRunError,
    LinregDistError,
    RunFailedError,
    StorageError,
    from_record,
)
from linreg_dist.jobspec import JobSpec, ScalingSpec
from linreg_dist.run.ray.loopback import is_on_loopback
from linreg_dist.run.ray.session import environment_of_workers, first_line, quiet_ray, use_train_v2
from linreg_dist.run.watch.capacity import free_and_all, resources_text
from linreg_dist.run.watch.head import HeadWatch
from linreg_dist.run.watch.in_time import stopped_in_time
from linreg_dist.run.watch.workers import GroupWatch, watch_group
from linreg_dist.storage import ObjectPath
from linreg_dist.training.beats import describe_stuck
from linreg_dist.training.job import TrainJob
from linreg_dist.training.progress import JobProgress
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_MEETING_TIMEOUT_S = 120  # for new workers to find each other; Ray's default is 30 minutes
_ABORT_TIMEOUT_S = 30.0


def fit(
    job: TrainJob,
    *,
    verbose: bool = False,
    head: HeadWatch | None = None,
    progress: JobProgress | None = None,
) -> Outcome:
    """Run the train function under Ray Train and return rank 0's outcome.

    Args:
        job: what to train.
        verbose: let Ray's log lines through.
        head: the watch over the head of the cluster, if there is one.
        progress: of the job so far; the workers go on with a copy.

    Raises:
        LinregDistError: what the workers agreed on.
        StorageError: the last thing that a worker could not do was to reach the storage.
        RunFailedError: a worker died more often than ``run.max_failures`` allows.
        ClusterError: the cluster itself was lost, or nodes that nothing replaced.

    """
    use_train_v2()
    import ray.exceptions
    import ray.train
    from ray.train.torch import TorchTrainer

    from linreg_dist.training.loop import train_loop_per_worker

    if not verbose:
        quiet_ray()
    spec = job.spec
    with _ray_train_settings(spec), watch_group(spec) as watch:
        trainer = _our_trainer(TorchTrainer)(
            train_loop_per_worker,
            train_loop_config={
                "job": job,
                "board": watch.board if watch else None,
                "progress": copy(progress),
            },
            torch_config=_torch_config(spec),
            scaling_config=_scaling_config(spec),
            run_config=ray.train.RunConfig(
                name=spec.name,
                **_ray_storage(job),
                failure_config=ray.train.FailureConfig(max_failures=spec.run.max_failures),
                worker_runtime_env=environment_of_workers(spec),
                logging_config=ray.train.LoggingConfig(log_level="INFO" if verbose else "ERROR"),
            ),
        )
        try:
            with stopped_in_time(spec, head):
                result = trainer.fit()
        except ray.train.TrainingFailedError as error:
            raise _failure(error, spec, watch) from error
        except ray.exceptions.RayError as error:
            # Failures of the workers come as the error above; without the controller there is no cluster.
            raise ClusterError(
                f"the Ray cluster was lost while the job ran: {first_line(error)}. When it is back, start "
                "the same job again to continue from its last checkpoint"
            ) from error
        except (KeyboardInterrupt, LinregDistError) as error:
            if head is None or head.lost is None:  # else nobody would answer
                trainer.abort()
            if isinstance(error, LinregDistError):
                raise
            raise InterruptedRunError(
                "stopped by an interrupt; start the same job again to continue from its last checkpoint"
            ) from error
    outcome: Outcome = result.return_value
    if outcome.error is not None:
        raise from_record(outcome.error)
    return replace(
        outcome,
        teardown_s=max(0.0, time.time() - outcome.left),
        worker_groups=tuple(watch.group_sizes) if watch else (),
        stuck=tuple(watch.reports) if watch else (),
    )


def _torch_config(spec: JobSpec) -> Any:
    """Return how the workers meet: on the loopback interface where their Ray is one of this machine only."""
    if spec.scaling.max_workers > 0 and is_on_loopback():
        from linreg_dist.run.ray.loopback_group import LoopbackTorchConfig

        return LoopbackTorchConfig(backend=backend_of(spec.scaling), timeout_s=_MEETING_TIMEOUT_S)
    from ray.train.torch import TorchConfig

    return TorchConfig(backend=backend_of(spec.scaling), timeout_s=_MEETING_TIMEOUT_S)


def backend_of(scaling: ScalingSpec) -> str:
    """Return what the workers exchange sums by: NCCL where each has a GPU of its own, else gloo.

    NCCL refuses two workers on one GPU; gloo copies their sums to the cores, which share it.
    """
    return "nccl" if scaling.gpus_per_worker >= 1.0 else "gloo"


def _scaling_config(spec: JobSpec) -> Any:
    import ray.train

    scaling = spec.scaling
    options: dict[str, Any] = {}
    if isinstance(scaling.num_workers, tuple):
        options["elastic_resize_monitor_interval_s"] = scaling.elastic_resize_monitor_interval_s
    return ray.train.ScalingConfig(
        num_workers=scaling.num_workers,
        use_gpu=scaling.asks_for_gpu,
        resources_per_worker=dict(scaling.resources_per_worker),
        **options,
    )


@contextmanager
def _ray_train_settings(spec: JobSpec) -> Iterator[None]:
    """Set what Ray Train takes from environment variables, where the user has not, for one fit."""
    import ray

    # Ray looks every 2 s whether the workers have finished; a short job would wait longer for that than it
    # trains.
    ours = {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5"}
    if ray.is_initialized() and len(ray.nodes()) == 1:
        # The watcher for notices that a node will go is a process, which starts on the workers' cores when
        # they begin to read. Nobody gives notice of a machine that is all there is.
        ours["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"
    if isinstance(spec.scaling.num_workers, tuple):
        # Ray plans the next group before it has noticed that a node is lost, and would wait a minute for
        # places on it before it plans again.
        ours["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = "10"
    added = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


# Each starts a process: for Ray Data, which we do not use, and see `_our_trainer`.
_CALLBACKS_LEFT_OUT = ("DatasetsCallback", "PlacementGroupCleanerCallback")


def _our_trainer(trainer_class: Any) -> Any:
    """Return Ray's trainer without three of its habits.

    Its handler of Ctrl-C aborts the run and goes on to report a dead actor, which looks like a failed run:
    here Ctrl-C interrupts as it does any other code. Its cleaner of placement groups asks "the" cluster
    of this machine whether the controller is alive; where two run side by side that may be the other one,
    which knows nothing of it, and the cleaner takes the workers' resources away in the midst of training.
    Ray removes placement groups by itself when the actor that made them dies. And it starts a manager of data
    sets where there are none.
    """
    import ray

    class Trainer(trainer_class):  # type: ignore[misc]  # Ray's classes are untyped
        controller: Any = None

        def _create_default_callbacks(self) -> list[Any]:
            callbacks: list[Any] = super()._create_default_callbacks()
            return [each for each in callbacks if type(each).__name__ not in _CALLBACKS_LEFT_OUT]

        def _register_sigint_handler(self, controller: Any) -> None:
            self.controller = controller

        def abort(self) -> None:
            """Stop the workers; a controller that waits for nodes answers nobody and is ended."""
            if self.controller is None:
                return
            with suppress(ray.exceptions.RayError):  # it ends with the actor's own death
                ray.get(self.controller.abort.remote(), timeout=_ABORT_TIMEOUT_S)
            with suppress(ray.exceptions.RayError):
                ray.kill(self.controller)

    return Trainer


def _ray_storage(job: TrainJob) -> dict[str, Any]:
    """Return where Ray Train keeps its own bookkeeping, as arguments of its RunConfig.

    On an object store Ray gets the file system too: its own would have no time-outs, and not know the
    options that our URIs take.
    """
    place = job.run_dir / ".ray"
    if not isinstance(place, ObjectPath):
        return {"storage_path": str(place)}
    filesystem, path = place.filesystem
    return {"storage_path": path, "storage_filesystem": filesystem}


def _never_started(spec: JobSpec) -> ClusterError:
    """Return what to say of workers that Ray could not start in time, in three lines."""
    scaling = spec.scaling
    return ClusterError(
        f"the workers did not start in time: {scaling.min_workers} workers of {resources_text(scaling)} "
        "each\n"
        f"The cluster has {free_and_all()}\n"
        "Lower scaling.num_workers or scaling.resources_per_worker, add nodes, or start again when others "
        "have finished"
    )


def _failure(error: BaseException, spec: JobSpec, watch: GroupWatch | None) -> LinregDistError:
    """Return the error to report for a failed fit, with all that is known of stuck workers."""
    failures = getattr(error, "worker_failures", None) or {}
    kind: type[LinregDistError] = RunFailedError
    ours = [cause for _, cause in sorted(failures.items()) if isinstance(cause, LinregDistError)]
    if ours:
        # A store that does not answer is named before what it led to.
        first = next((cause for cause in ours if isinstance(cause, StorageError)), ours[0])
        kind, detail = type(first), str(first)
    else:
        lines = [f"worker {rank}: {first_line(cause)}" for rank, cause in sorted(failures.items())]
        detail = "; ".join(lines) if lines else first_line(error)
        if not lines and "startup timed out" in f"{error} {error.__cause__}":
            return _never_started(spec)
    message = (
        f"training failed after {spec.run.max_failures} retries (run.max_failures): {detail}. Start the same "
        "job again to continue from its last checkpoint; -v shows Ray's log"
    )
    if watch is None:
        return kind(message)
    watch.close()
    told = [describe_stuck(report, with_stack=True) for report in watch.reports]
    return kind("\n".join([message, *told]), stuck=watch.reports)
