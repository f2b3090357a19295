"""Blocks' memory behaves like numpy's, and is given back."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from linreg_dist.data import memory


@pytest.mark.parametrize("shape", [(3, 10), (0, 5), (33, 125_000), (5, 1 << 20), (1, (4 << 20) + 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_array_is_whole_writable_and_contiguous(shape, dtype):
    array = memory.empty(shape, np.dtype(dtype))
    assert array.shape == shape
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.writeable
    array[...] = 7.0
    assert (array == 7.0).all()


def test_two_arrays_do_not_overlap():
    first, second = (memory.empty((1, 2 << 20), np.dtype(np.float32)) for _ in range(2))
    first[...], second[...] = 1.0, 2.0
    assert (first == 1.0).all()


def test_memory_goes_back_when_the_array_is_let_go():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    array = memory.empty((64, 1 << 20), np.dtype(np.float32))
    array[...] = 1.0
    assert resident() - before > 200 << 20
    del array
    gc.collect()
    assert resident() - before < 20 << 20
