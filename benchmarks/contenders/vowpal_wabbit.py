"""Vowpal Wabbit's default online learner. It reads no Parquet, so the rows are first written as text.

That conversion counts as start-up, in its favour, and it runs on the first rows only: the text is several
times as large as the Parquet.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.contender import Contender, Grid, Outcome, Pass, UnavailableError
from benchmarks.problems import TARGET, Dataset

_ROWS_OVER_CAP = 10  # it is about ten times as fast as the tutorial loop that the cap is meant for
_CONSTANT = 11650396  # the hash of VW's intercept, from its constant.h


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    try:
        from vowpalwabbit import Workspace
    except ImportError as error:
        raise UnavailableError("Vowpal Wabbit is not installed (pip install vowpalwabbit)") from error
    features = dataset.problem.features
    rows = min(grid.capped_rows * _ROWS_OVER_CAP, dataset.problem.num_rows)
    with tempfile.TemporaryDirectory(prefix="linreg-bench-vw-") as folder:
        text = Path(folder) / "rows.vw"
        began = time.perf_counter()
        _write_text(dataset, rows, text)
        converted_s = time.perf_counter() - began
        options = ["--data", str(text), "--passes", str(grid.epochs), "--holdout_off", "--quiet"]
        if grid.epochs > 1:
            options += ["--cache_file", f"{text}.cache", "--kill_cache"]
        started = time.time()
        workspace = Workspace(arg_list=options)
        finished = time.time()
        coef = [workspace.get_weight_from_name(name, " ") for name in features]
        intercept = workspace.get_weight(_CONSTANT & (workspace.num_weights() - 1), 0)
        workspace.finish()
    seconds = (finished - started) / grid.epochs
    capped = f"on the first {rows:,} rows only; " if rows < dataset.problem.num_rows else ""
    return Outcome(
        started,
        finished,
        [Pass(rows, seconds)] * grid.epochs,
        coef,
        intercept,
        note=f"{capped}text written in {converted_s:.1f} s, counted as start-up; each pass is a mean",
    )


def _write_text(dataset: Dataset, num_rows: int, path: Path) -> None:
    """Write ``target | name:value …`` lines."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    left = num_rows
    with path.open("w") as out:
        for file in dataset.files:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches():
                    part = batch.slice(0, left)
                    left -= part.num_rows
                    values = [
                        pc.binary_join_element_wise(name, pc.cast(part.column(name), pa.string()), ":")
                        for name in dataset.problem.features
                    ]
                    target = pc.cast(part.column(TARGET), pa.string())
                    lines = pc.binary_join_element_wise(target, "|", *values, " ")
                    out.write("\n".join(lines.to_pylist()) + "\n")
                    if not left:
                        return


CONTENDERS = (Contender("vowpal_wabbit", "Vowpal Wabbit, default learner, text input, one thread", _run),)
