"""Memory for blocks: on huge pages where the system has them.

A block is tens of megabytes that are touched for the first time when it is written. With pages of 4 KiB the
kernel is entered thousands of times for it; on a virtual machine that was measured at 2 s for each gigabyte,
more than decoding it took. Pages of 2 MiB cost a fifteenth of that. The memory goes back to the system as
soon as the block is let go, instead of staying in an allocator's lists.
"""

from __future__ import annotations

import math
import mmap
from typing import Any

import numpy as np
import numpy.typing as npt

_HUGE_PAGE = 2 << 20
_SMALLEST = 4 << 20  # below this an allocator's own memory, used before, is as good


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return an uninitialised C-contiguous array, like `numpy.empty`."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < _SMALLEST or not hasattr(mmap, "MADV_HUGEPAGE"):
        return np.empty(shape, dtype)
    # Room to begin at a multiple of the page size, and to end at one: else the ends get small pages.
    room = -(-nbytes // _HUGE_PAGE) * _HUGE_PAGE + _HUGE_PAGE
    region = mmap.mmap(-1, room, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        region.madvise(mmap.MADV_HUGEPAGE)
    except OSError:
        return np.empty(shape, dtype)  # a kernel built without them
    address = np.frombuffer(region, dtype=np.uint8, count=1).ctypes.data
    offset = -address % _HUGE_PAGE
    return np.frombuffer(region, dtype=dtype, count=math.prod(shape), offset=offset).reshape(shape)
