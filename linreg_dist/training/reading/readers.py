"""Reader processes for a worker's passes: when they pay, and a pass's function in them.

A reader takes about a second of a core to start, so small data never starts one. It decodes by polars where
that is installed and the files suit it, which saves a third of the time of a pass; without, readers pay from
the number of cores on at which threads wait for the interpreter's lock. ``LINREG_DIST_READERS`` (auto,
always, never) overrides it. The bits are the same either way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from linreg_dist import liveness
from linreg_dist.data.readers import decode
from linreg_dist.data.readers.pool import ReaderPool
from linreg_dist.errors import SpecError

if TYPE_CHECKING:
    from linreg_dist.training.training import Training

VARIABLE = "LINREG_DIST_READERS"
_CHOICES = ("auto", "always", "never")

_ELEMENTS_A_THREAD = 800_000_000  # some six seconds of decoding by pyarrow, a third of which is saved
_THREADS_THAT_WAIT = 4  # beyond them, the interpreter's lock costs more than processes do
_MOST_COLUMNS = 512  # sums of more are too large to be sent for each row group


def readers_pay(training: Training) -> bool:
    """Return whether this worker is to decode and sum in reader processes.

    Raises:
        SpecError: the environment variable has no known value.

    """
    chosen = os.environ.get(VARIABLE, "auto")
    if chosen not in _CHOICES:
        raise SpecError(f"{VARIABLE} is {chosen!r}; expected one of {', '.join(_CHOICES)}")
    store = training.data.store
    columns = training.num_features + training.num_targets
    # Blocks that are kept have to be made here.
    is_possible = bool(sys.executable) and not store.keeps_any and columns <= _MOST_COLUMNS
    if chosen != "auto" or not is_possible:
        return is_possible and chosen == "always"
    if not decode.is_there() and store.num_threads <= _THREADS_THAT_WAIT:
        return False
    groups = training.job.manifest.row_groups
    rows = sum(groups[index].num_rows for index in training.my_row_groups)
    return rows * columns >= _ELEMENTS_A_THREAD * store.num_threads


@contextmanager
def in_readers(training: Training, task: Any) -> Iterator[Callable[[int], Any]]:
    """Give a function of a row group's index that a reader process computes, one for each thread.

    Args:
        training: of this worker.
        task: its ``open()`` returns, in the reader, a function of the index that gives the result and the
            bytes it read.

    """
    store, manifest = training.data.store, training.job.manifest

    def where(index: int) -> str:
        return manifest.where(manifest.row_groups[index])

    pool = ReaderPool(task, store.num_threads, where)

    def read(index: int) -> Any:
        with liveness.process.doing(f"reading {where(index)}"):
            part, num_bytes = pool.apply(index)
        store.count_bytes(num_bytes)
        return part

    try:
        yield read
    finally:
        pool.close()
