"""The device of an exact fit: the cores for few columns, a GPU for many where it is asked for.

An exact pass is as fast as its rows are decoded while their sums take less time than that. Handing rows over
to a GPU takes the cores longer than summing a few dozen columns themselves, so only wide rows go there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from linreg_dist.solvers.device_choice import CLUSTER, NO_GPU, ON_CORES, ON_GPU, START_S
from linreg_dist.training.rows.gpus import Gpus
from linreg_dist.training.training import Training
from linreg_dist.training.worker import on_gpu

# Numbers that are multiplied and added in float64 in a second, by one core in native code.
_CORE_PRODUCTS_PER_S = 8e9
# Seconds to hand a number over to a GPU, whatever the cores: building blocks for it holds the interpreter's
# lock. Measured beside an H200: 7.6 Mrow/s of 33 numbers.
_HAND_OVER_S = 4e-9
FEWEST_COLUMNS = 128
"""Below these the cores are faster than handing over to any GPU, and none is started to find out."""


def seconds_on_cores(rows: int, width: int, num_threads: int) -> float:
    """Return what the products of all pairs of columns take on the cores, decoding aside."""
    return rows * width * (width + 1) / 2 / (_CORE_PRODUCTS_PER_S * num_threads)


def seconds_on_gpu(rows: int, width: int, products_per_s: float) -> float:
    """Return what they take on a GPU that makes so many products a second, the way there included."""
    return rows * width * (_HAND_OVER_S + width / products_per_s)


def settle_sums(training: Training) -> tuple[Training, dict[str, Any]]:
    """Return the training where its rows are to be summed, and for the result where that is, and why.

    Where the cores sum although a GPU was asked for, the workers' exchanges stay on their GPUs.
    """
    scaling, worker = training.job.spec.scaling, training.worker
    if scaling.use_gpu == "auto":
        if scaling.max_workers > 0:
            return training, _said(ON_CORES, CLUSTER)
        gpus = Gpus.here()
        if not gpus.count:
            return training, _said(ON_CORES, NO_GPU)
    elif worker.gpus is None:
        return training, {}
    else:
        gpus = worker.gpus
    rows, width = training.job.manifest.num_rows, training.num_features + training.num_targets
    here = replace(training, worker=replace(worker, gpus=None))
    if width < FEWEST_COLUMNS:
        return here, _said(
            ON_CORES,
            f"the cores sum rows of {width} columns faster than they hand them over to a GPU; from about "
            f"{FEWEST_COLUMNS} columns on a GPU may pay",
        )
    cores_s = seconds_on_cores(rows, width, worker.num_threads)
    if scaling.use_gpu == "auto" and cores_s < START_S:
        return here, _said(
            ON_CORES, f"the sums take the cores about {cores_s:.2g} s, and a GPU takes longer to start"
        )
    from linreg_dist.solvers.exact.sums.on_gpu import products_per_second  # loads torch

    device = gpus.device if worker.gpus is None else worker.device
    gpu_s = seconds_on_gpu(rows, width, products_per_second(device))
    times = f"the sums take about {cores_s:.2g} s on the cores and {gpu_s:.2g} s on the GPU ({gpus.name})"
    if gpu_s >= cores_s:
        return here, _said(ON_CORES, times)
    there = training if worker.gpus is not None else training.moved(on_gpu(worker, gpus))
    return there, _said(ON_GPU, times)


def _said(device: str, reason: str) -> dict[str, Any]:
    return {"device": device, "device_reason": reason}
