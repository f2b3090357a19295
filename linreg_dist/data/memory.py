"""Memory for blocks: on huge pages where the system has them.

A block is tens of megabytes that are touched for the first time when it is written. With pages of 4 KiB the
kernel is entered thousands of times for it; on a virtual machine that was measured at 2 s for each gigabyte,
more than decoding it took. Pages of 2 MiB cost a fifteenth of that. A few blocks' memory is used again, which
costs nothing; the rest goes back to the system as soon as its block is released, instead of staying in an
allocator's lists.
"""

from __future__ import annotations

import math
import mmap
import weakref
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

_HUGE_PAGE = 2 << 20
_SMALLEST = 4 << 20  # below this an allocator's own memory, used before, is as good
_SPARE_BYTES = 64 << 20

_spare: deque[mmap.mmap] = deque()  # its operations are atomic, also inside a finalizer


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return an uninitialised C-contiguous array, like `numpy.empty`."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < _SMALLEST or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.empty(shape, dtype)
    # Room to begin at a multiple of the page size, and to end at one: else the ends get small pages.
    room = -(-nbytes // _HUGE_PAGE) * _HUGE_PAGE + _HUGE_PAGE
    region = _take_spare(room)
    if region is None:
        region = mmap.mmap(-1, room, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        try:
            region.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            return np.empty(shape, dtype)  # a kernel built without them
    address = np.frombuffer(region, dtype=np.uint8, count=1).ctypes.data
    offset = -address % _HUGE_PAGE
    whole = np.frombuffer(region, dtype=dtype, count=math.prod(shape), offset=offset)
    # Views and tensors of it keep `whole` alive, so this runs after the last of them is gone.
    weakref.finalize(whole, _give_back, region)
    return whole.reshape(shape)


def release() -> None:
    """Give the memory that was kept for use again back to the system."""
    _spare.clear()


def _take_spare(room: int) -> mmap.mmap | None:
    for _ in range(len(_spare)):
        try:
            region = _spare.popleft()
        except IndexError:  # another thread was faster
            return None
        if len(region) == room:
            return region
        _spare.append(region)
    return None


def _give_back(region: mmap.mmap) -> None:
    # A mapping that is not kept goes with this last reference to it.
    if sum(map(len, tuple(_spare))) + len(region) <= _SPARE_BYTES:
        _spare.append(region)
