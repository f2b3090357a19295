"""A group of workers in processes of their own, without Ray: what workers do, and none of what Ray does.

The train function, torch's collectives and `DistributedDataParallel` are the real ones, and so is all that
the driver does before and after. Ray's part (places, starts, restarts, the watch) has tests of its own. A
group starts in a second where Ray takes ten: its processes are forked from one that has imported all.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from linreg_dist.documents import Outcome
from linreg_dist.errors import from_record

_PATIENCE_S = 120.0
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.light_worker"])


def fit(job: Any, **_: Any) -> Outcome:
    """Run the train function on ``scaling.num_workers`` processes and return rank 0's outcome.

    Raises:
        LinregDistError: what the workers agreed on.
        RuntimeError: a worker died, or raised something that Ray would retry.

    """
    from tests.light_worker import work

    size = job.spec.scaling.max_workers
    with tempfile.TemporaryDirectory(prefix="lrd-group-") as folder:
        args = pickle.dumps(job), size, folder, dict(os.environ)
        group = [_SERVER.Process(target=work, args=(rank, *args), daemon=True) for rank in range(size)]
        try:
            for process in group:
                process.start()
            deadline = time.monotonic() + _PATIENCE_S
            for process in group:
                process.join(max(0.0, deadline - time.monotonic()))
            codes = [process.exitcode for process in group]
        finally:
            for process in group:
                process.kill()
        if codes != [0] * size:
            texts = [file.read_text() for file in sorted(Path(folder).glob("error-*"))]
            raise RuntimeError(f"workers ended with {codes}:\n" + "\n".join(texts))
        outcome: Outcome = pickle.loads(Path(folder, "outcome").read_bytes())  # noqa: S301 (of our own making)
    if outcome.error is not None:
        raise from_record(outcome.error)
    return replace(outcome, teardown_s=0.0, worker_groups=(size,), stuck=())


@contextlib.contextmanager
def no_ray_session(*_: Any, **__: Any) -> Iterator[None]:
    """Stand for `ray_session` where no cluster is wanted."""
    yield None


@contextlib.contextmanager
def without_ray() -> Iterator[None]:
    """Train on processes of our own wherever a spec asks for workers."""
    from linreg_dist.run.ray import session, trainer

    with mock.patch.object(trainer, "fit", fit), mock.patch.object(session, "ray_session", no_ray_session):
        yield
