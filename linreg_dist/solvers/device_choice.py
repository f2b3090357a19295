"""``use_gpu: auto``: whether to train on the cores or on a GPU, decided by steps that ran on both.

All rows have been decoded by then, so what is compared is what is left: on the cores the steps; on the GPU
the steps too, after it was started and the rows were copied, which the measuring has done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from linreg_dist.training.rows.gpus import Gpus
from linreg_dist.training.training import Training
from linreg_dist.training.worker import on_gpu
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

START_S = 3.0
"""Seconds that a GPU takes to start, its libraries included: below that no job gains by one."""
_COPY_BYTES_PER_S = 5e9  # to a GPU, at the least, putting them together in pinned memory included
_GAIN = 0.9  # of the time on the cores that the GPU must not need more of: a measured second is not exact

ON_CORES, ON_GPU = "cpu", "cuda"
CLUSTER, NO_GPU, NOT_MEASURED = (
    "auto measures the machine of one process (num_workers: 0); with workers set use_gpu: true for GPUs",
    "PyTorch finds no GPU on this machine",
    "auto measures no GPU for this solver; use_gpu: true takes one",
)


def settle_device(
    training: Training, remaining_s: Callable[[Training], float] | None
) -> tuple[Training, dict[str, Any]]:
    """Return where to go on, and for a device that was left to ``auto`` which one it is, and why.

    Args:
        training: on the cores, where ``use_gpu`` is auto; its rows are read.
        remaining_s: runs a few steps and returns the seconds of all that are left; None where the solver
            cannot tell.

    """
    scaling = training.job.spec.scaling
    if scaling.use_gpu != "auto":
        return training, {}
    gpus = Gpus.here() if scaling.max_workers == 0 else Gpus(0)
    if scaling.max_workers > 0:
        return training, _said(ON_CORES, CLUSTER)
    if not gpus.count:
        return training, _said(ON_CORES, NO_GPU)
    if remaining_s is None:
        return training, _said(ON_CORES, NOT_MEASURED)
    cores_s = remaining_s(training)
    width = training.num_features + training.num_targets
    reason = hopeless(cores_s, training.summary.counts.train * width * 4, start_s=START_S)
    if reason is not None:
        return training, _said(ON_CORES, reason)
    started = time.perf_counter()
    try:
        there = training.moved(on_gpu(training.worker, gpus))
        gpu_s = remaining_s(there)
    except RuntimeError as error:  # of torch: no memory, no kernels for this card, a driver that is too old
        first = str(error).partition("\n")[0]
        return training, _said(ON_CORES, f"the GPU ({gpus.name}) could not be used: {first}")
    goes, reason = compare(cores_s, gpu_s, gpus.name, measuring_s=time.perf_counter() - started)
    return (there, _said(ON_GPU, reason)) if goes else (training, _said(ON_CORES, reason))


def hopeless(cores_s: float, num_bytes: int, *, start_s: float = START_S) -> str | None:
    """Return why a GPU cannot be faster, before it is started; None where it may be.

    Args:
        cores_s: seconds of the steps that are left, on the cores.
        num_bytes: of the rows, which would be copied.
        start_s: of a GPU.

    """
    least_s = start_s + num_bytes / _COPY_BYTES_PER_S
    if cores_s > least_s:
        return None
    return (
        f"the steps take about {cores_s:.2g} s on the cores, and starting a GPU and copying the rows to it "
        f"about {least_s:.2g} s"
    )


def compare(cores_s: float, gpu_s: float, name: str, *, measuring_s: float = 0.0) -> tuple[bool, str]:
    """Return whether the GPU is to take the steps that are left, and why.

    Args:
        cores_s, gpu_s: seconds of these steps on either.
        name: of the GPU.
        measuring_s: what starting, copying and measuring took; it is spent.

    """
    spent = f"; starting it, copying the rows and measuring took {measuring_s:.2g} s" if measuring_s else ""
    times = f"the steps take about {cores_s:.2g} s on the cores and {gpu_s:.2g} s on the GPU ({name}){spent}"
    return gpu_s < _GAIN * cores_s, times


def _said(device: str, reason: str) -> dict[str, Any]:
    logger.info("scaling.use_gpu: auto takes %s: %s", "the cores" if device == "cpu" else "the GPU", reason)
    return {"device": device, "device_reason": reason}
