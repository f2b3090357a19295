"""The other limit of an exact fit: the multiplications alone, by the BLAS that torch and numpy use.

One triangle of Z'Z with Z = (1, x, y) takes Z² flops a row. This spends as many as the problem's rows need,
in full products (2·Z² a row) of a slice that stays in the cache: nothing is read, nothing is learnt. So rows
a second over these are the share of the machine's gemm rate that an exact fit reaches.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from benchmarks.contender import Contender, Grid, Outcome, Pass
from benchmarks.problems import Dataset

_SLICE_BYTES = 1 << 20


def _multiply(slices: int, rows: int, columns: int, dtype_name: str) -> None:
    import torch

    torch.set_num_threads(1)
    dtype = getattr(torch, dtype_name)
    generator = torch.Generator().manual_seed(0)
    z_ZS = torch.randn((columns, rows), generator=generator, dtype=dtype)
    total_ZZ = torch.zeros((columns, columns), dtype=dtype)
    for _ in range(slices):
        total_ZZ.addmm_(z_ZS, z_ZS.T)


def _run(dataset: Dataset, grid: Grid, dtype_name: str) -> Outcome:
    import torch

    columns = dataset.problem.num_features + 2
    rows = max(256, _SLICE_BYTES // (torch.finfo(getattr(torch, dtype_name)).bits // 8 * columns))
    workers = len(os.sched_getaffinity(0))
    slices = -(-dataset.problem.num_rows // (2 * rows * workers))
    passes = []
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda _: _multiply(1, rows, columns, dtype_name), range(workers)))
        started = time.time()
        for _ in range(grid.epochs):
            began = time.perf_counter()
            list(pool.map(lambda _: _multiply(slices, rows, columns, dtype_name), range(workers)))
            passes.append(Pass(2 * slices * rows * workers, time.perf_counter() - began))
    rate = columns**2 * passes[0].rows / passes[0].seconds / 1e9
    return Outcome(
        started,
        time.time(),
        passes,
        note=f"{rate:.0f} GF/s on {workers} core(s); reads nothing, learns nothing",
        extra={"gflops": rate},
    )


CONTENDERS = tuple(
    Contender(
        name, f"bare {what} products of cached slices, a thread per core", partial(_run, dtype_name=dtype)
    )
    for name, what, dtype in (("floor_dgemm", "float64", "float64"), ("floor_sgemm", "float32", "float32"))
)
