"""Capacity of a Ray cluster: whether it can hold a job at all, before it starts and while it runs.

Ray alone waits for ever: for resources that no node has, and after a failure for a node that never comes
back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from linreg_dist.errors import ClusterError
from linreg_dist.jobspec import JobSpec, ScalingSpec
from linreg_dist.run.watch.interrupts import Interruption

_LOOK_EVERY_S = 2.0


def shortage(spec: JobSpec) -> str | None:
    """Return what the job needs and the cluster has not, busy or not: ``"2 CPU (2 workers x 1) of 1"``; None
    if it is large enough.
    """
    import ray

    workers = spec.scaling.min_workers
    per_worker = dict(spec.scaling.resources_per_worker)
    if spec.scaling.asks_for_gpu:
        per_worker.setdefault("GPU", 1.0)
    have = ray.cluster_resources()
    short = [
        f"{workers * amount:g} {name} ({workers} workers x {amount:g}) of {have.get(name, 0.0):g}"
        for name, amount in per_worker.items()
        if workers * amount > have.get(name, 0.0) + 1e-9
    ]
    return "; ".join(short) or None


def free_and_all() -> str:
    """Return what the cluster has: ``"8 CPU, 2 of them free; 1 GPU, 0 of them free"``."""
    import ray

    have, free = ray.cluster_resources(), ray.available_resources()
    names = [name for name in ("CPU", "GPU") if name in have]
    shown = [f"{have[name]:g} {name}, {free.get(name, 0.0):g} of them free" for name in names]
    return "; ".join(shown) or "no CPU"


def resources_text(scaling: ScalingSpec) -> str:
    """Return what each worker asks for: ``"1 CPU, 1 GPU"``."""
    each = [f"{amount:g} {name}" for name, amount in scaling.resources_per_worker.items()]
    if scaling.asks_for_gpu and "GPU" not in scaling.resources_per_worker:
        each.append("1 GPU")
    return ", ".join(each)


@contextmanager
def watch_capacity(spec: JobSpec, interruption: Interruption) -> Iterator[None]:
    """Interrupt the ``with`` block with a `ClusterError` when nodes were lost and none replaced them for
    ``run.wait_for_nodes_s``.

    A cluster that is only busy is large enough: a job may queue on it for as long as it takes.
    """
    if spec.run.wait_for_nodes_s is None or spec.scaling.max_workers == 0:
        yield
        return
    over = threading.Event()
    args = spec, spec.run.wait_for_nodes_s, interruption, over
    thread = threading.Thread(target=_look, args=args, name="watch-capacity", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _look(spec: JobSpec, wait_s: float, interruption: Interruption, over: threading.Event) -> None:
    import ray.exceptions

    enough_at = time.monotonic()
    while not over.wait(_LOOK_EVERY_S):
        try:
            missing = shortage(spec)
        except (ray.exceptions.RayError, RuntimeError):
            continue  # the head does not answer: the driver's own call to it will say so
        if missing is None:
            enough_at = time.monotonic()
        elif time.monotonic() - enough_at >= wait_s:
            interruption.because(
                ClusterError(
                    f"nodes were lost and not replaced for {wait_s:g} s (run.wait_for_nodes_s): the job "
                    f"needs {missing}. Add nodes and start the same job again to continue from its last "
                    "checkpoint"
                )
            )
            return
