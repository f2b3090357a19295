"""Scoring against bare pyarrow: `predict` and a loop that only reads and writes, interleaved.

The bare loop decodes the same columns on as many threads, and writes a float64 column of as many rows; it
predicts nothing. The predictions are checked against numpy in each round, so that no fast nothing is timed.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from linreg_dist import limits
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.verbs.score import predict

_FILES, _GROUP = 4, 125_000


@dataclass(frozen=True)
class ScoringTimes:
    """Seconds of each round, the bare loop's and ours."""

    rows: int
    bare_s: list[float]
    ours_s: list[float]

    @property
    def share(self) -> float:
        """Our rate as a share of the bare one, of the medians."""
        return statistics.median(self.bare_s) / statistics.median(self.ours_s)


def measure(rows: int, features: int = 32, rounds: int = 5) -> ScoringTimes:
    """Time both on new data, one after the other in every round; a first round warms up and is left out."""
    draw = np.random.default_rng(0)
    names = [f"x{number}" for number in range(features)]
    model = LinearModel(
        draw.normal(size=(1, features)), np.zeros(1), Encoding(tuple(map(NumericColumn, names))), ("y",)
    )
    with tempfile.TemporaryDirectory(prefix="linreg_dist-scoring-") as scratch:
        data = Path(scratch) / "data"
        data.mkdir()
        for number in range(_FILES):
            columns = {name: draw.normal(size=rows // _FILES).astype(np.float32) for name in names}
            pq.write_table(pa.table(columns), data / f"{number}.parquet", row_group_size=_GROUP)
        first = pq.read_table(data / "0.parquet")
        expected = np.stack([first[name].to_numpy() for name in names], 1).astype(float) @ model.coef_
        bare_s, ours_s = [], []
        for _ in range(rounds + 1):
            bare_s.append(_timed(lambda out: _bare(data, out), Path(scratch) / "bare"))
            out = Path(scratch) / "ours"
            ours_s.append(_timed(lambda out: predict(model, str(data), out), out))
            found = pq.read_table(out / "0.parquet")["prediction"].to_numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    return ScoringTimes(rows, bare_s[1:], ours_s[1:])


def _timed(function: Callable[[Path], object], out: Path) -> float:
    shutil.rmtree(out, ignore_errors=True)
    began = time.perf_counter()
    function(out)
    return time.perf_counter() - began


def _bare(data: Path, out: Path) -> None:
    out.mkdir()
    schema = pa.schema([("prediction", pa.float64())])
    for path in sorted(data.glob("*.parquet")):

        def read(group: int, path: Path = path) -> pa.Table:
            return pq.ParquetFile(path, pre_buffer=False).read_row_group(group, use_threads=False)

        groups = range(pq.read_metadata(path).num_row_groups)
        with (
            ThreadPoolExecutor(limits.available_cpus()) as pool,
            pq.ParquetWriter(out / path.name, schema) as writer,
        ):
            for table in pool.map(read, groups):
                writer.write_table(pa.table({"prediction": table.column(0).cast(pa.float64())}))
