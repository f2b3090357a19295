"""The tutorial way: ``TensorDataset``, ``DataLoader`` with 32 rows a batch, ``nn.Linear`` and SGD.

It takes minutes a pass on millions of rows, so it runs on the first rows only; its speed depends little on
how many they are.
"""

from __future__ import annotations

import time

import numpy as np

from benchmarks.contender import Contender, Grid, Outcome, Pass
from benchmarks.problems import TARGET, Dataset

BATCH_ROWS = 32
LEARNING_RATE = 0.01


def read_first_rows(dataset: Dataset, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first rows as a row-major matrix and a vector."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    batches, taken = [], 0
    for file in dataset.files:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches():
                batches.append(batch.slice(0, num_rows - taken))
                taken += batches[-1].num_rows
                if taken == num_rows:
                    break
        if taken == num_rows:
            break
    table = pa.Table.from_batches(batches)
    x = np.column_stack([table.column(name).to_numpy() for name in dataset.problem.features])
    return x, table.column(TARGET).to_numpy()


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    rows = min(grid.capped_rows, dataset.problem.num_rows)
    torch.manual_seed(0)
    started = time.time()
    began = time.perf_counter()
    x, y = read_first_rows(dataset, rows)
    loader = DataLoader(
        TensorDataset(torch.from_numpy(x), torch.from_numpy(y.copy())), batch_size=BATCH_ROWS, shuffle=True
    )
    model = nn.Linear(x.shape[1], 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    criterion = nn.MSELoss()
    passes = []
    for _ in range(grid.epochs):
        for x_batch, y_batch in loader:
            optimizer.zero_grad()
            criterion(model(x_batch).squeeze(1), y_batch).backward()
            optimizer.step()
        passes.append(Pass(rows, time.perf_counter() - began))
        began = time.perf_counter()
    capped = rows < dataset.problem.num_rows
    return Outcome(
        started,
        time.time(),
        passes,
        model.weight[0].tolist(),
        float(model.bias),
        note=f"on the first {rows:,} rows only" if capped else "",
    )


CONTENDERS = (Contender("tutorial", "TensorDataset + DataLoader(batch_size=32) + nn.Linear + SGD", _run),)
