"""The straightforward loop: ``iter_batches``, ``column_stack``, ``nn.Linear``, SGD, 8,192 rows a batch."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.contender import Contender, Grid, Outcome, Pass
from benchmarks.problems import TARGET, Dataset

BATCH_ROWS = 8_192
LEARNING_RATE = 0.1


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    import pyarrow.parquet as pq
    import torch
    from torch import nn

    features = dataset.problem.features
    torch.manual_seed(0)
    model = nn.Linear(len(features), 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    criterion = nn.MSELoss()
    started = time.time()
    passes = []
    for _ in range(grid.epochs):
        began, rows = time.perf_counter(), 0
        for file in dataset.files:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(batch_size=BATCH_ROWS):
                    x = np.column_stack([batch.column(name).to_numpy() for name in features])
                    y = torch.tensor(batch.column(TARGET).to_numpy())
                    optimizer.zero_grad()
                    criterion(model(torch.from_numpy(x)).squeeze(1), y).backward()
                    optimizer.step()
                    rows += len(y)
        passes.append(Pass(rows, time.perf_counter() - began))
    return Outcome(started, time.time(), passes, model.weight[0].tolist(), float(model.bias))


CONTENDERS = (
    Contender("pyarrow_loop", "iter_batches(8,192) + column_stack + nn.Linear + SGD in one process", _run),
)
