"""BLAS on one thread for the time of a pass, and as it was afterwards."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from linreg_dist.kernels.blas import one_blas_thread


def num_threads() -> set[int]:
    np.ones(1) @ np.ones(1)
    found = [each for each in threadpool_info() if each["user_api"] == "blas" and "numpy" in each["filepath"]]
    return {each["num_threads"] for each in found}


def test_passes_that_overlap_keep_to_one_thread_until_the_last_of_them_ends() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        before = num_threads()
        with one_blas_thread():
            assert num_threads() == {1}
            with one_blas_thread():
                pass
            assert num_threads() == {1}
        assert num_threads() == before == {2}
