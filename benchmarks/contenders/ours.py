"""What our own contenders share: a job through `linreg_dist.train`, its files read back as an outcome."""

from __future__ import annotations

import importlib
import json
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from benchmarks.contender import Grid, Outcome, Pass, UnavailableError
from benchmarks.problems import TARGET, Dataset

_NAME = "benchmark"


def job(dataset: Dataset, grid: Grid, **sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job: every row trains (as in all contenders), Adam, a fixed number of epochs.

    The cosine schedule takes the learning rate to zero with the last epoch: a constant one ends somewhere
    near the optimum, and speed is compared at equal or lower loss.
    """
    base: dict[str, Any] = {
        "version": 1,
        "name": _NAME,
        "data": {"path": str(dataset.parts), "target": TARGET, "validation": {"method": "none"}},
        "solver": {"name": "adam", "schedule": "cosine", "epochs": grid.epochs, "early_stop": None},
        "outputs": {"report": False},
    }
    for section, values in sections.items():
        base[section] = {**base.get(section, {}), **values}
    return base


def train(spec: Mapping[str, Any], grid: Grid, around: AbstractContextManager[Any] | None = None) -> Outcome:
    """Run a job and time its phases.

    When training begins is what the run itself reports: seconds from the call of `linreg_dist.train` to the
    first line of the train function. All that this function does counts as training: reading, the epochs, and
    the final metrics. Saving the model and stopping Ray count as teardown.

    Args:
        spec: the job.
        grid: for ``grid.overrides``.
        around: entered just before training, left just after.
    """
    import linreg_dist
    import linreg_dist.run.ray.trainer  # what `fit` would import: not within the call that is timed
    import linreg_dist.training.loop

    importlib.import_module("ray.train.torch")

    def watch(metrics: Path) -> AbstractContextManager[Any]:
        return nullcontext() if around is None else around

    with tempfile.TemporaryDirectory(prefix="linreg-bench-") as storage:
        overrides = {"run.storage_path": storage, **grid.overrides}
        called = time.time()
        try:
            run = linreg_dist.train(dict(spec), overrides, watch=watch)
        except linreg_dist.SpecError as error:
            if "not available" in str(error):
                raise UnavailableError(str(error)) from error
            raise
        lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
        epochs = [line for line in lines if "epoch" in line]
        resolved = (run.path / "job.yaml").read_text()
        coef, intercept = run.model.coef_, run.model.intercept_
    timing, rows = run.result["timing"], run.result["rows"]["train"]
    if run.result["solver"]["name"] == "exact":  # it needs the rows once
        passes = [Pass(rows, timing["read_s"] + timing["fit_s"])]
    else:
        passes = [Pass(line["rows"], line["seconds"]) for line in epochs]
        passes[0] = Pass(passes[0].rows, passes[0].seconds + timing["read_s"])
    started = called + timing["startup_s"]
    return Outcome(
        started=started,
        finished=started + timing["train_s"],
        passes=passes,
        coef=[float(value) for value in coef],
        intercept=float(intercept),
        extra={
            "resolved_spec": hide_paths(resolved, storage),
            "solver": run.result["solver"],
            "timing": timing,
            "losses": [line["train_mse"] for line in epochs],
        },
    )


def hide_paths(resolved: str, storage: str) -> str:
    """Return a resolved spec with paths as they are in any checkout, so that results can be committed."""
    root = str(Path(__file__).parents[2].resolve())
    return resolved.replace(root + "/", "").replace(storage, "<temporary>")
