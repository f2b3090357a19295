"""A GPU against the same machine's cores and against the plain loop: ``python -m benchmarks.gpu``.

Interleaved rounds: a plain ``nn.Linear`` loop over rows that lie on the device, our epochs after the first,
and our exact pass, each on the GPU and on the cores. A whole job is the time from the call to the result:
reading and ten epochs, against reading, copying and the plain loop. Without a GPU it says so, and prints the
lines of the cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq
import torch

from benchmarks.plain_loop import make, ours, rate_of_steps

_EPOCHS = 10


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=32)
    parser.add_argument("--rows", type=int, default=8_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="*", default=[65536, 1_000_000])
    parser.add_argument("--devices", nargs="*", default=["cuda", "cpu"], choices=["cuda", "cpu"])
    options = parser.parse_args()
    has_gpu = torch.cuda.is_available()
    devices = [device for device in options.devices if device == "cpu" or has_gpu]
    machine = torch.cuda.get_device_name() if has_gpu else "no GPU"
    print(f"{machine}, {torch.get_num_threads()} threads; {options.rows:,} rows x {options.columns} float32")
    print("device | what | Mrow/s | to the plain loop on the device")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        x, y = make(folder / "data", options.columns, options.rows)
        for device in devices:
            for batch in [min(batch, options.rows) for batch in options.batches]:
                rounds = [
                    (plain(x, y, batch, device), later_epochs(folder, batch, device, i))
                    for i in range(options.rounds)
                ]
                base, rate = (statistics.median(values) for values in zip(*rounds, strict=True))
                ratio = statistics.median(mine / theirs for theirs, mine in rounds)
                print(f"{device} | plain loop, batch {batch:,} | {base:.1f} |")
                print(
                    f"{device} | ours, later epochs, batch {batch:,} | {rate:.1f} | {ratio:.2f}", flush=True
                )
            passes = [exact(folder, len(x), device, i) for i in range(options.rounds)]
            print(f"{device} | ours, exact, from the call | {statistics.median(passes):.1f} |", flush=True)
            batch = options.batches[0]
            jobs = [
                (plain_job(folder / "data", batch, device), our_job(folder, batch, device, i))
                for i in range(options.rounds)
            ]
            theirs, mine = (statistics.median(values) for values in zip(*jobs, strict=True))
            print(f"{device} | whole job, {_EPOCHS} epochs, plain loop | {theirs:.2f} s |")
            print(
                f"{device} | whole job, {_EPOCHS} epochs, ours | {mine:.2f} s | {theirs / mine:.2f}",
                flush=True,
            )


def plain(x: torch.Tensor, y: torch.Tensor, batch: int, device: str) -> float:
    """Return the rate of the plain loop over rows that are on the device, in Mrow/s."""
    x, y = x.to(device), y.to(device)
    steps = len(x) // batch
    slices = [slice(i * batch, (i + 1) * batch) for i in range(steps)] * max(1, 200 // steps)
    return rate_of_steps(((x[rows], y[rows]) for rows in slices), x)


def later_epochs(folder: Path, batch: int, device: str, number: int) -> float:
    """Return the rate of our epochs after the first, in Mrow/s."""
    storage = folder / f"later-{device}-{batch}-{number}"
    return ours(folder / "data", batch, storage, use_gpu=device == "cuda")[1]


def exact(folder: Path, rows: int, device: str, number: int) -> float:
    """Return the rate of a whole exact fit, in Mrow/s."""
    started = time.perf_counter()
    _train(folder, {"name": "exact"}, device, f"exact-{device}-{number}")
    return rows / (time.perf_counter() - started) / 1e6


def our_job(folder: Path, batch: int, device: str, number: int) -> float:
    """Return the seconds of a whole fit of ten epochs."""
    started = time.perf_counter()
    solver = {"name": "sgd", "epochs": _EPOCHS, "global_batch_size": batch, "learning_rate": 0.001}
    _train(folder, {**solver, "early_stop": None}, device, f"job-{device}-{number}")
    return time.perf_counter() - started


def _train(folder: Path, solver: dict[str, object], device: str, name: str) -> None:
    import linreg_dist as lr

    lr.train(
        {
            "name": name,
            "data": {"path": str(folder / "data"), "target": "y", "validation": {"method": "none"}},
            "solver": solver,
            "scaling": {"use_gpu": device == "cuda"},
            "run": {"storage_path": str(folder / "runs")},
            "outputs": {"report": False},
        }
    )


def plain_job(data: Path, batch: int, device: str) -> float:
    """Return the seconds of reading all rows, taking them to the device, and ten epochs of the plain loop."""
    started = time.perf_counter()
    table = pq.read_table(data)
    columns = [torch.from_numpy(column.to_numpy()) for column in table.columns]
    x, y = torch.stack(columns[:-1], dim=1).to(device), columns[-1][:, None].to(device)
    steps = len(x) // batch
    slices = [slice(i * batch, (i + 1) * batch) for i in range(steps)] * _EPOCHS
    rate_of_steps(((x[rows], y[rows]) for rows in slices), x)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
