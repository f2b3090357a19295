from __future__ import annotations

import gc

import numpy as np
import torch

from linreg_dist.data import memory

SHAPE = (8, 1 << 20)


def address(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_only_after_the_last_view_of_it_is_gone():
    memory.release()
    first = memory.empty(SHAPE, np.dtype(np.float32))
    first[:] = 1.0
    tensor = torch.from_numpy(first).t()[5:]
    where = address(first)
    del first
    gc.collect()
    second = memory.empty(SHAPE, np.dtype(np.float32))
    second[:] = 2.0
    assert address(second) != where
    assert bool((tensor == 1.0).all())
    del tensor
    gc.collect()
    third = memory.empty(SHAPE, np.dtype(np.float32))
    assert address(third) == where


def test_no_more_than_a_bound_is_kept_and_release_lets_go_of_it():
    memory.release()
    arrays = [memory.empty(SHAPE, np.dtype(np.float32)) for _ in range(4)]
    del arrays
    gc.collect()
    kept = sum(map(len, memory._spare))
    assert 0 < kept <= 64 << 20
    memory.release()
    assert not memory._spare


def test_small_arrays_and_other_shapes_work(tmp_path):
    for shape in ((0, 5), (3, 7), (2, 1 << 21), (1, 1 << 21)):
        array = memory.empty(shape, np.dtype(np.float64))
        array[:] = 3.0
        assert array.shape == shape
        assert array.flags.c_contiguous
        assert array.flags.writeable
