"""Limits of this machine, checked before anything starts: cores for local workers, and a GPU."""

from __future__ import annotations

import math
import os
import sys

from linreg_dist import limits
from linreg_dist.errors import ClusterError, SpecError
from linreg_dist.jobspec import JobSpec, ScalingSpec
from linreg_dist.training.rows.gpus import Gpus
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

MOST_CPUS_PER_CORE = 4


def check_this_machine(spec: JobSpec) -> None:
    """Refuse what this machine cannot do, warn of more local workers than cores, and advise local mode where
    all workers would be here. A cluster's own limits are checked where there is a connection to it.

    Raises:
        SpecError: Python runs without docstrings.
        ClusterError: more than four times as many workers as cores, or a GPU where there is none.

    """
    if sys.flags.optimize > 1:
        raise SpecError(
            "this Python runs without docstrings (PYTHONOPTIMIZE=2 or -OO), which Ray cannot be imported "
            "without; unset PYTHONOPTIMIZE, or set it to 1"
        )
    scaling = spec.scaling
    if spec.cluster.address is not None or os.environ.get("RAY_ADDRESS"):
        if scaling.max_workers > 0:
            return
    elif scaling.max_workers > 0:
        _check_cores(spec)
    if scaling.asks_for_gpu:
        _check_gpus(scaling, Gpus.here())


def _check_gpus(scaling: ScalingSpec, gpus: Gpus) -> None:
    """Refuse more GPUs than this machine has.

    Raises:
        ClusterError: there is none, or not one for each worker.

    """
    if not gpus.count:
        raise ClusterError(
            "scaling.use_gpu is true, and PyTorch finds no GPU on this machine. Set scaling.use_gpu to "
            "false, install a PyTorch with CUDA where there is a GPU, or give a cluster.address with GPUs"
        )
    workers, each = scaling.min_workers, scaling.gpus_per_worker
    if workers * each > gpus.count:
        share = math.floor(100 * gpus.count / workers) / 100
        raise ClusterError(
            f"scaling asks for {workers} workers with {each:g} GPU each, and this machine has {gpus.count}. "
            "Set scaling.num_workers to 0, which trains on one GPU in this process and is the fastest way to "
            f"use it; or let workers share it (scaling.resources_per_worker: {{CPU: 1, GPU: {share:g}}}), "
            "where they take turns; or give a cluster.address with more GPUs"
        )
    if workers > 1 and each < 1.0:
        logger.warning(
            "%d workers share a GPU (%g each): they take turns on it and exchange sums over the cores "
            "(gloo), because NCCL needs a GPU for each. scaling.num_workers: 0 uses the GPU in one process, "
            "which is faster",
            workers,
            each,
        )


def _check_cores(spec: JobSpec) -> None:
    cores = limits.available_cpus()
    per_worker = spec.scaling.resources_per_worker.get("CPU", 1.0)
    needed = spec.scaling.max_workers * per_worker
    if needed <= cores:
        if not spec.scaling.asks_for_gpu:
            logger.warning(
                "all workers are on this machine: scaling.num_workers: 0 uses all its cores in one process, "
                "and saves the start of Ray and an exchange of sums at every step, so it is mostly faster "
                "here. Workers pay on a cluster (cluster.address)"
            )
        return
    found = (
        f"scaling.num_workers asks for {spec.scaling.max_workers} workers of {per_worker:g} CPU each on this "
        f"machine, and this process may use {cores} cores"
    )
    if needed > MOST_CPUS_PER_CORE * cores:
        raise ClusterError(
            f"{found}; expected at most {MOST_CPUS_PER_CORE} times as many. Lower scaling.num_workers (0 "
            "uses all cores in one process), or give cluster.address of a larger cluster"
        )
    logger.warning("%s: they take turns, which is slower than fewer workers (0 uses all cores)", found)
