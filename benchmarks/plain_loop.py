"""The loop that a user would write against ours, by batch size: ``python -m benchmarks.plain_loop``.

For each batch size the rounds are interleaved: a plain ``nn.Linear`` loop over rows in memory, the tutorial's
``DataLoader`` loop for the smallest batch, and a run of ours. "first" is our first epoch with the reading
before it, "later" are those after it. The median ratio counts, not the rates, on a machine that is busy.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

_FILES = 8
_TUTORIAL_BATCH = 32
_TUTORIAL_ROWS = 60_000
_MOST_STEPS = 2_000


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=32)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="*", default=[32, 1024, 8192, 65536, 1_000_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        x, y = make(data, options.columns, options.rows)
        print(f"{options.rows:,} rows x {options.columns} float32, {torch.get_num_threads()} threads, Mrow/s")
        print("batch | plain loop | ours later | ratio | ours first, with reading")
        for batch in options.batches:
            plain = tutorial if batch == _TUTORIAL_BATCH else loop
            rounds = [
                (plain(x, y, batch), *ours(data, batch, Path(folder) / f"{batch}-{i}"))
                for i in range(options.rounds)
            ]
            base, first, later = (statistics.median(values) for values in zip(*rounds, strict=True))
            ratio = statistics.median(each[2] / each[0] for each in rounds)
            print(f"{batch:,} | {base:.3g} | {later:.3g} | {ratio:.1f} | {first:.3g}", flush=True)


def make(folder: Path, columns: int, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Write the files and return their rows."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((columns, rows), dtype=np.float32)
    y = (x.sum(0) / 10 + rng.standard_normal(rows, dtype=np.float32)).astype(np.float32)
    for number, part in enumerate(np.array_split(np.arange(rows), _FILES)):
        begin, end = part[0], part[-1] + 1
        table = pa.table({**{f"x{d}": x[d, begin:end] for d in range(columns)}, "y": y[begin:end]})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=125_000)
    return torch.from_numpy(np.ascontiguousarray(x.T)), torch.from_numpy(y)[:, None]


def loop(x: torch.Tensor, y: torch.Tensor, batch: int) -> float:
    """Return the rate of slices of a tensor in memory."""
    steps = min(len(x) // batch, _MOST_STEPS)
    return rate_of_steps(
        ((x[i * batch : (i + 1) * batch], y[i * batch : (i + 1) * batch]) for i in range(steps)), x
    )


def tutorial(x: torch.Tensor, y: torch.Tensor, batch: int) -> float:
    """Return the rate of a ``DataLoader``."""
    return rate_of_steps(
        DataLoader(TensorDataset(x[:_TUTORIAL_ROWS], y[:_TUTORIAL_ROWS]), batch_size=batch), x
    )


def rate_of_steps(batches: Iterable[Sequence[torch.Tensor]], x: torch.Tensor) -> float:
    """Return the rate of the steps of a plain loop, in Mrow/s, on the device where ``x`` is."""
    model = nn.Linear(x.shape[1], 1, device=x.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
    loss_of: Callable[..., torch.Tensor] = nn.MSELoss()
    rows, started = 0, time.perf_counter()
    for x_batch, y_batch in batches:
        optimizer.zero_grad()
        loss_of(model(x_batch), y_batch).backward()
        optimizer.step()
        rows += len(x_batch)
    if x.is_cuda:
        torch.cuda.synchronize()
    return rows / (time.perf_counter() - started) / 1e6


def ours(data: Path, batch: int, storage: Path, *, use_gpu: bool = False) -> tuple[float, float]:
    """Return the rate of reading and the first epoch together, and of a later epoch."""
    import linreg_dist as lr

    solver = {"name": "sgd", "epochs": 4, "learning_rate": 0.001, "global_batch_size": batch}
    run = lr.train(
        {
            "version": 1,
            "name": "run",
            "data": {"path": str(data), "target": "y"},
            "solver": {**solver, "early_stop": None},
            "scaling": {"use_gpu": use_gpu},
            "run": {"storage_path": str(storage)},
            "outputs": {"report": False},
        }
    )
    text = (storage / "run" / "metrics.jsonl").read_text()
    epochs = [line for line in map(json.loads, text.splitlines()) if "progress" not in line]
    rows = epochs[0]["rows"]
    later = statistics.median(line["seconds"] for line in epochs[1:])
    first = run.result["timing"]["train_s"] - sum(line["seconds"] for line in epochs[1:])
    return rows / first / 1e6, rows / later / 1e6


if __name__ == "__main__":
    main()
