"""The exact pass against a bare scan: ``python -m benchmarks.exact_pass``.

Rounds are interleaved: the scan in a process a core, our pass on threads, and our pass in reader processes.
Both wall time and processor time are taken: on a machine that others use only the second means anything. The
last line is the share of a row group's time for which a thread may hold the interpreter's lock: all of its
processor time outside of decoding and of the kernels, over that of decoding.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.contenders.floor import scan
from benchmarks.interleaved import Taken, compare, cpu_seconds, datasets, parser_of
from benchmarks.problems import TARGET, Dataset


def main() -> None:
    """Print a table."""
    import pyarrow.parquet as pq

    parser = parser_of(__doc__)
    parser.add_argument("--cores", type=int, help="use so many only")
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    print("problem | contender | Mrow/s | to the scan | CPU ms a row group | to the scan")
    contenders: dict[str, Callable[[Dataset], Taken]] = {
        "scan, a process a core": scanned,
        "ours, threads": lambda dataset: ours(dataset, "never"),
        "ours, readers": lambda dataset: ours(dataset, "always"),
    }
    for dataset in datasets(options):
        groups = sum(pq.read_metadata(file).num_row_groups for file in dataset.files)
        compare(dataset, contenders, options.rounds, parts=groups)
        share = 1 / lock_share(dataset)
        print(f"{dataset.problem.name} | lock held at most, to decoding | 1/{share:.0f}", flush=True)


def scanned(dataset: Dataset) -> Taken:
    """Scan in processes that are up already."""
    cores = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_timed_scan, [[]] * cores))
        started = time.perf_counter()
        cpu = sum(pool.map(_timed_scan, [dataset.files[number::cores] for number in range(cores)]))
        return Taken(time.perf_counter() - started, cpu)


def _timed_scan(files: list[Path]) -> float:
    started = time.process_time()
    scan(files)
    return time.process_time() - started


def ours(dataset: Dataset, readers: str) -> Taken:
    """Fit exactly; the time of the pass, with the start of readers where there are any."""
    import linreg_dist as lr

    os.environ["LINREG_DIST_READERS"] = readers
    with tempfile.TemporaryDirectory() as storage:
        before = cpu_seconds()
        run = lr.train(
            {
                "version": 1,
                "name": "pass",
                "data": {"path": str(dataset.parts), "target": TARGET, "validation": {"method": "none"}},
                "solver": {"name": "exact"},
                "run": {"storage_path": storage},
                "outputs": {"report": False},
            }
        )
        return Taken(run.result["timing"]["read_s"], cpu_seconds() - before)


def lock_share(dataset: Dataset) -> float:
    """Return the time for which one thread may hold the lock, over the time of decoding."""
    import numpy as np
    import pyarrow.parquet as pq

    from linreg_dist.data.block import BlockBuilder, Shift
    from linreg_dist.data.cache import BlockCache
    from linreg_dist.data.design.columns import bind_columns
    from linreg_dist.data.design.encoding import Encoding
    from linreg_dist.data.source.manifest import read_manifest
    from linreg_dist.data.store import BlockStore
    from linreg_dist.jobspec import DataSpec
    from linreg_dist.kernels import calls
    from linreg_dist.stats.column_moments import moments_of_columns
    from linreg_dist.stats.moments import Moments

    spec = DataSpec(path=[str(dataset.parts)], target=TARGET)
    manifest = read_manifest(spec.paths, spec.validation.paths)
    columns = bind_columns(spec, manifest)
    encoding = Encoding(columns.kinds)
    shift = Shift(np.zeros(encoding.num_encoded), np.zeros(1))
    builder = BlockBuilder(
        manifest, columns, spec, encoding, shift, dtype=np.float32, shuffle=False, seed=0, native=True
    )
    store = BlockStore(manifest, builder, BlockCache(0, 0, Path()), num_threads=1)
    spent = {"decode": 0.0, "kernel": 0.0}

    def timed(function: Callable[..., Any], what: str) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*args, **options)
            finally:
                spent[what] += time.thread_time() - started

        return call

    class Decoder:
        """pyarrow's own reader below `ParquetFile`, which decodes without the lock."""

        def __init__(self, reader: Any) -> None:
            self._reader = reader
            self.read_row_group = timed(reader.read_row_group, "decode")

        def __getattr__(self, name: str) -> Any:
            return getattr(self._reader, name)

    def opened(parquet: Any, *args: Any, **options: Any) -> None:
        init(parquet, *args, **options)
        parquet.reader = Decoder(parquet.reader)

    names = encoding.names, (TARGET,)
    init, loaded = pq.ParquetFile.__init__, dict(calls._loaded)
    pq.ParquetFile.__init__ = opened  # type: ignore[method-assign]
    shares = []

    def add_up(index: int) -> None:
        found = store.in_place(index)
        assert found is not None
        total = Moments.empty(*names)
        for part in ((0, found.num_train), (found.num_train, found.num_rows)):
            rows = found.dtype, found.addresses_Z, found.w_N, found.rows_M
            sums = moments_of_columns(*rows, *part, names)
            assert sums is not None
            total.merge(sums)

    try:
        add_up(0)  # loads the kernels
        for name, function in calls._loaded.items():
            calls._loaded[name] = timed(function, "kernel")
        for index in range(len(manifest.row_groups)):
            spent["decode"] = spent["kernel"] = 0.0
            started = time.thread_time()
            add_up(index)
            held = time.thread_time() - started - sum(spent.values())
            shares.append(held / spent["decode"])
    finally:
        pq.ParquetFile.__init__ = init  # type: ignore[method-assign]
        calls._loaded.update(loaded)
        store.close()
    return statistics.median(shares)


if __name__ == "__main__":
    main()
