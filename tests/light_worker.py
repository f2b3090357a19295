"""One worker of `tests.light_workers`; all it needs is imported here, once for all groups."""

from __future__ import annotations

import os
import pickle
import traceback
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray.train.torch  # noqa: TID253 (a worker's; the solvers import it where they are called)
import torch
import torch._dynamo  # the first DDP imports it
import torch.distributed as dist

import linreg_dist.solvers.exact.fit
import linreg_dist.solvers.gradient.descent
import linreg_dist.solvers.lbfgs.descent  # noqa: F401 (as the two above: loaded before the fork)
from linreg_dist.training import loop
from linreg_dist.training.worker import Worker


def work(rank: int, job_bytes: bytes, world_size: int, folder: str, environ: dict[str, str]) -> None:
    """Train as one rank of a group that meets in a folder; rank 0 leaves the outcome there.

    The environment is that of the test, and not of when the first group was started.
    """
    os.environ.clear()
    os.environ.update(environ)
    job = pickle.loads(job_bytes)  # noqa: S301 (of our own making)
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    ray.train.torch.prepare_model = _in_ddp
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world_size)
    worker = Worker(rank, world_size, "cpu", num_threads=1, group=None)
    loop.join_group = lambda *_: worker
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's of how DDP is called, as in Ray's workers
            outcome = loop.train_loop_per_worker({"job": job})
    except BaseException:
        Path(folder, f"error-{rank}").write_text(traceback.format_exc())
        raise
    if rank == 0:
        Path(folder, "outcome").write_bytes(pickle.dumps(outcome))
    dist.barrier()
    dist.destroy_process_group()


def _in_ddp(model: torch.nn.Module, *, parallel_strategy_kwargs: dict[str, Any]) -> torch.nn.Module:
    """Wrap a model as Ray's function of this name does on a CPU."""
    return torch.nn.parallel.DistributedDataParallel(model, **parallel_strategy_kwargs)
