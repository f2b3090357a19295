"""Write the files in this folder: ``git checkout 275e345``, then ``python -m tests.written_by_0_1_0.make``.

They are never written anew by later code: that it reads what 0.1.0 wrote is what they are for.

A checkpoint belongs to the absolute path of its data. ``/proc/self/cwd`` is the same path everywhere, so that
a test which changes into a folder with a copy of ``data`` can continue these runs.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent
HUBER = {"loss": "huber"}
ITERATIVE = {"epochs": 4, "global_batch_size": 60}
JOBS: dict[str, dict[str, Any]] = {
    "sgd": {"solver": {"name": "sgd", **ITERATIVE}},
    "adam_huber": {"solver": {"name": "adam", **ITERATIVE}, "model": HUBER},
    "lbfgs_huber": {"solver": {"name": "lbfgs"}, "model": HUBER},
    "exact": {},
    "tune": {"tune": {"l2": [0.01, 0.1], "folds": 3}},
    "first_pass": {"solver": {"name": "sgd", **ITERATIVE}},
}
"""What differs between the runs; the first three were cut in the middle of an epoch, the others of a pass."""


class PowerCutError(Exception):
    """What no code of ours expects."""


def spec_of(job: str, data: str = "data") -> dict[str, Any]:
    """Return the spec of a run in ``runs`` on ``data``, both in the present directory."""
    return {
        "name": job,
        "data": {
            "path": f"/proc/self/cwd/{data}",
            "target": "y",
            "features": ["x0", "x1", "colour"],
            "weight": "w",
        },
        "scaling": {"virtual_shards": 2},
        "run": {"storage_path": "/proc/self/cwd/runs", "checkpoint_every_s": 1e-9, "num_to_keep": 1000},
        "outputs": {"report": False},
        **JOBS[job],
    }


@contextmanager
def cut_at(row_group: int) -> Iterator[None]:
    """Let no row group from this one on be decoded."""
    from linreg_dist.data.store import BlockStore

    build = BlockStore.build

    def cut(store: Any, index: int) -> Any:
        if index >= row_group:
            raise PowerCutError
        return build(store, index)

    BlockStore.build = cut  # type: ignore[method-assign]
    try:
        yield
    finally:
        BlockStore.build = build  # type: ignore[method-assign]


def _write_data() -> None:
    rng = np.random.default_rng(11)
    num_rows = 480
    x = rng.normal(size=(num_rows, 2))
    colour = rng.choice(["red", "green", "blue"], num_rows)
    y = 1.0 + x @ [2.0, -1.0] + (colour == "red") + rng.normal(size=num_rows)
    weight = rng.integers(1, 4, num_rows).astype(float)
    columns = {"x0": x[:, 0], "x1": x[:, 1], "colour": pa.array(colour), "w": weight, "y": y}
    table = pa.table(columns)
    for name, start in (("data", 0), ("more", 360)):
        (HERE / name).mkdir()
        length = 360 if name == "data" else 120
        part = table.slice(start, length)
        pq.write_table(part, HERE / name / f"{name}.parquet", row_group_size=60)


def _cut_run(job: str) -> None:
    from linreg_dist.verbs.train import train

    run, kept = Path("runs", job), HERE / "runs" / job
    model = train(spec_of(job)).model
    steps = sorted((run / "checkpoints").glob("epoch*"))
    if steps and job != "first_pass":
        middle = steps[len(steps) // 2]
        shutil.copytree(middle, kept / "checkpoints" / middle.name)
    else:
        shutil.rmtree(run)
        with cut_at(4), suppress(PowerCutError):
            train(spec_of(job))
        shutil.copytree(run / "checkpoints", kept / "checkpoints")
    for file in ("checkpoints/identity.json", "job.yaml"):
        shutil.copy(run / file, kept / file)
    np.save(kept / "coefficients.npy", np.append(model.coef_, model.intercept_))


def _finished_run(job: str, data: str) -> None:
    from linreg_dist.verbs.train import train

    run, kept = train(spec_of(job, data)), HERE / "finished" / f"{job}_{data}"
    kept.mkdir(parents=True)
    for name in ("result.json", "job.yaml", "metrics.jsonl", "statistics.safetensors"):
        if (run.path / name).exists():
            shutil.copy(run.path / name, kept / name)
    (kept / "checkpoints").mkdir()
    shutil.copy(run.path / "checkpoints" / "identity.json", kept / "checkpoints")
    shutil.copytree(run.path / "model", kept / "model")


if __name__ == "__main__":
    for folder in ("data", "more", "runs", "finished"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    _write_data()
    with tempfile.TemporaryDirectory() as scratch:
        for source in ("data", "more"):
            shutil.copytree(HERE / source, Path(scratch) / source)
        os.chdir(scratch)
        for each in JOBS:
            _cut_run(each)
        for each, source in (("exact", "data"), ("exact", "more"), ("sgd", "data"), ("lbfgs_huber", "data")):
            shutil.rmtree("runs")
            _finished_run(each, source)
