"""A GPU against the same machine's cores and against the plain loop: ``python -m benchmarks.gpu``.

One table in one go. Interleaved rounds: a plain ``nn.Linear`` loop over rows that lie on the device, our
epochs after the first, also with rows that have to be streamed, L-BFGS, and our exact pass, each on the GPU
and on the cores. A whole job is the time from the call to the result: reading and ten epochs, against
reading, copying and the plain loop. Last comes what ``use_gpu: auto`` chooses, and what its whole job takes.

``--device cpu`` lets the CPU play the GPU's part: its numbers mean nothing, but every line is computed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from benchmarks.plain_loop import make, ours, rate_of_steps
from linreg_dist.training.rows.gpus import MEMORY_VARIABLE, VARIABLE

_EPOCHS = 10
_REHEARSED_BYTES = 64_000_000_000


@dataclass(frozen=True)
class Place:
    """Where a line is measured.

    Attributes:
        name: of the device, for people.
        device: of the plain loop, as torch names it.
        use_gpu: as in a spec.

    """

    name: str
    device: str
    use_gpu: bool


class Bench:
    """The rows, and the ways to go over them.

    Args:
        folder: for files and runs.
        columns, rows: of the data.

    """

    def __init__(self, folder: Path, columns: int, rows: int) -> None:
        self._folder, self._data, self._runs = folder, folder / "data", 0
        self.x, self.y = make(self._data, columns, rows)
        self.row_bytes = 4 * (columns + 1)

    def plain(self, place: Place, batch: int) -> float:
        """Return the rate of the plain loop over rows that are on the device, in Mrow/s."""
        x, y = self.x.to(place.device), self.y.to(place.device)
        steps = len(x) // batch
        slices = [slice(i * batch, (i + 1) * batch) for i in range(steps)] * max(1, 200 // steps)
        return rate_of_steps(((x[rows], y[rows]) for rows in slices), x)

    def later_epochs(self, place: Place, batch: int) -> float:
        """Return the rate of our epochs after the first, in Mrow/s."""
        return ours(self._data, batch, self._storage(), use_gpu=place.use_gpu)[1]

    def exact(self, place: Place) -> float:
        """Return the rate of a whole exact fit, in Mrow/s."""
        started = time.perf_counter()
        self.train(place.use_gpu, name="exact")
        return len(self.x) / (time.perf_counter() - started) / 1e6

    def lbfgs(self, place: Place) -> float:
        """Return the rate of the passes of L-BFGS, in Mrow/s."""
        result = self.train(place.use_gpu, name="lbfgs", epochs=1)
        passes, seconds = int(result["solver"]["evaluations"]), float(result["timing"]["fit_s"])
        return len(self.x) * passes / seconds / 1e6

    def job(self, use_gpu: bool | str, batch: int) -> tuple[float, dict[str, Any]]:
        """Return the seconds of a whole fit of ten epochs, and its result."""
        started = time.perf_counter()
        steps = {"global_batch_size": batch, "learning_rate": 0.001, "early_stop": None}
        result = self.train(use_gpu, name="sgd", epochs=_EPOCHS, **steps)
        return time.perf_counter() - started, result

    def plain_job(self, place: Place, batch: int) -> float:
        """Return the seconds of reading all rows, copying them, and ten epochs of the plain loop."""
        started = time.perf_counter()
        table = pq.read_table(self._data)
        columns = [torch.from_numpy(column.to_numpy()) for column in table.columns]
        x = torch.stack(columns[:-1], dim=1).to(place.device)
        y = columns[-1][:, None].to(place.device)
        slices = [slice(i * batch, (i + 1) * batch) for i in range(len(x) // batch)] * _EPOCHS
        rate_of_steps(((x[rows], y[rows]) for rows in slices), x)
        return time.perf_counter() - started

    def train(self, use_gpu: bool | str, **solver: Any) -> dict[str, Any]:
        """Train once and return the result."""
        import linreg_dist as lr

        data = {"path": str(self._data), "target": "y", "validation": {"method": "none"}}
        spec = {"name": "run", "data": data, "solver": solver, "scaling": {"use_gpu": use_gpu}}
        outputs = {"outputs": {"report": False}, "run": {"storage_path": str(self._storage())}}
        return dict(lr.train({**spec, **outputs}).result)

    def _storage(self) -> Path:
        self._runs += 1
        return self._folder / f"run-{self._runs}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--columns", type=int, default=32)
    parser.add_argument("--rows", type=int, default=8_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="*", default=[65536, 1_000_000])
    parser.add_argument(
        "--device", default="auto", choices=["auto", "cuda", "cpu"], help="what plays the GPU"
    )
    options = parser.parse_args(arguments)
    has_gpu = torch.cuda.is_available() and options.device != "cpu"
    if options.device == "cuda" and not has_gpu:
        parser.error("PyTorch finds no GPU on this machine")
    cores = Place("cores", "cpu", use_gpu=False)
    places, environment = [cores], {}
    if has_gpu:
        places = [Place(torch.cuda.get_device_name(), "cuda", use_gpu=True), cores]
    elif options.device == "cpu":
        places = [Place("CPU as GPU", "cpu", use_gpu=True), cores]
        environment = {VARIABLE: f"1x{_REHEARSED_BYTES}"}
    print(f"{places[0].name}, {os.cpu_count()} cores, torch {torch.__version__}; ", end="")
    print(f"{options.rows:,} rows x {options.columns} float32, medians of {options.rounds}")
    print("device | what | Mrow/s or seconds | to the plain loop on the device")
    with tempfile.TemporaryDirectory() as name, _environment(environment):
        bench = Bench(Path(name), options.columns, options.rows)
        batches = [min(batch, options.rows) for batch in options.batches]
        for line in _lines(bench, places, batches, options.rounds):
            print(line, flush=True)


def _lines(bench: Bench, places: Sequence[Place], batches: Sequence[int], rounds: int) -> Iterator[str]:
    """Yield the lines of the table."""
    for place in places:
        for batch in batches:
            pairs = [(bench.plain(place, batch), bench.later_epochs(place, batch)) for _ in range(rounds)]
            base, rate = (statistics.median(values) for values in zip(*pairs, strict=True))
            ratio = statistics.median(mine / theirs for theirs, mine in pairs)
            yield f"{place.name} | plain loop over resident rows, batch {batch:,} | {base:.1f} |"
            yield f"{place.name} | ours, later epochs, batch {batch:,} | {rate:.1f} | {ratio:.2f}"
        if place.use_gpu:
            kept = len(bench.x) * bench.row_bytes // 4
            with _environment({MEMORY_VARIABLE: str(kept)}):
                rate = statistics.median(bench.later_epochs(place, batches[0]) for _ in range(rounds))
            what = f"ours, a quarter resident, the rest streamed, batch {batches[0]:,}"
            yield f"{place.name} | {what} | {rate:.1f} |"
        for what, rate_of in (("L-BFGS, a pass", bench.lbfgs), ("exact, from the call", bench.exact)):
            rate = statistics.median(rate_of(place) for _ in range(rounds))
            yield f"{place.name} | ours, {what} | {rate:.1f} |"
        jobs = [
            (bench.plain_job(place, batches[0]), bench.job(place.use_gpu, batches[0])[0])
            for _ in range(rounds)
        ]
        theirs, mine = (statistics.median(values) for values in zip(*jobs, strict=True))
        whole = f"whole job, {_EPOCHS} epochs of {batches[0]:,}"
        yield f"{place.name} | {whole}: plain loop | {theirs:.2f} s |"
        yield f"{place.name} | {whole}: ours | {mine:.2f} s | {theirs / mine:.2f}"
    chosen = [bench.job("auto", batches[0]) for _ in range(rounds)]
    seconds = statistics.median(each for each, _ in chosen)
    solver = chosen[-1][1]["solver"]
    yield f"auto: {solver['device']} | {whole}: ours | {seconds:.2f} s | {solver['device_reason']}"


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a ``with`` block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


if __name__ == "__main__":
    main()
