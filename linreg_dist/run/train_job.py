"""`train`: one job end to end, from a spec to a model and a result."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from linreg_dist._version import __version__
from linreg_dist.data.columns import Columns, bind_columns
from linreg_dist.data.encoding import Encoding
from linreg_dist.data.manifest import Manifest, read_manifest
from linreg_dist.data.plan import num_lanes
from linreg_dist.errors import InterruptedRunError, LinregDistError, SpecError, to_record
from linreg_dist.model import LinearModel
from linreg_dist.run.card import model_card
from linreg_dist.run.folder import FAILED, INTERRUPTED, SUCCEEDED, RunFolder, write_whole
from linreg_dist.spec import JobSpec, load_spec
from linreg_dist.training.job import TrainJob

Watcher = Callable[[Path], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: its folder.
        result: what result.json says.
        already_finished: whether the job had been run before and nothing was done now.

    """

    path: Path
    result: dict[str, Any]
    already_finished: bool = False

    @property
    def metrics(self) -> dict[str, Any]:
        """``{"train": {"mse", "rmse", "mae", "r2"}, "validation": {…} or None}``."""
        metrics: dict[str, Any] = self.result["metrics"]
        return metrics

    @cached_property
    def model(self) -> LinearModel:
        """The fitted model."""
        return LinearModel.load(self.path / "model")


def train(
    spec: str | Path | Mapping[str, Any] | JobSpec,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    fresh: bool = False,
    verbose: bool = False,
    watch: Watcher | None = None,
) -> Run:
    """Run one job and wait for it.

    Args:
        spec: a spec file, the same as a dict, or a `JobSpec`.
        overrides: ``{"model.l2": 0.1}``, or ``["model.l2=0.1"]`` as on the command line.
        fresh: start over where a run of this name exists; else an unfinished one is continued and a finished
            one returned.
        verbose: let Ray's log lines through.
        watch: called with the path of metrics.jsonl, returns a context that is open while training goes on.

    Raises:
        SpecError: the spec is invalid, or its name belongs to a run of another spec.
        DataError: the data does not fit the spec.
        ClusterError: the cluster is unreachable or too small.
        RunFailedError: training could not finish.
        InterruptedRunError: it was stopped by an interrupt.

    """
    checked = load_spec(spec, overrides)
    folder = RunFolder.of(checked)
    began = time.time()
    manifest, columns = read_data(checked)
    earlier = folder.begin(checked, manifest.digest, fresh=fresh)
    if earlier is not None:
        return Run(folder.path, earlier, already_finished=True)
    try:
        job = plan_job(checked, manifest, columns, folder)
        outcome = _run_workers(job, folder, verbose=verbose, watch=watch)
        result = _save(job, folder, outcome, began)
    except LinregDistError as error:
        status = INTERRUPTED if isinstance(error, InterruptedRunError) else FAILED
        folder.finish(_failed_result(checked, status, to_record(error)))
        raise
    folder.finish(result)
    return Run(folder.path, result)


def read_data(spec: JobSpec) -> tuple[Manifest, Columns]:
    """Read the footers and match the spec's columns with them.

    Raises:
        DataError: nothing there, not Parquet, a missing column or a wrong type.

    """
    manifest = read_manifest(spec.data.paths, spec.data.validation.paths)
    return manifest, bind_columns(spec.data, manifest)


def plan_job(spec: JobSpec, manifest: Manifest, columns: Columns, folder: RunFolder) -> TrainJob:
    """Decide what ``auto`` leaves open before any worker starts."""
    shards = spec.scaling.virtual_shards
    row_nbytes = max(group.num_bytes // group.num_rows for group in manifest.row_groups)
    lanes = num_lanes(
        manifest, max(1, spec.scaling.max_workers), row_nbytes, None if shards == "auto" else shards
    )
    return TrainJob(spec, manifest, columns, lanes, choose_solver(spec), folder.path)


def choose_solver(spec: JobSpec) -> str:
    """Return the solver that ``solver.name`` stands for.

    Raises:
        SpecError: the solver is not part of this version.

    """
    name = spec.solver.name
    if name == "auto":
        return "exact" if spec.model.loss == "squared" and spec.model.l1 == 0.0 else "adam"
    if name == "exact" and (spec.model.l1 > 0.0 or spec.model.loss != "squared"):
        raise SpecError(
            "solver.name exact needs model.loss squared and model.l1 0 in this version; choose sgd or adam"
        )
    if name == "lbfgs":
        raise SpecError(
            f"solver.name {name} is not available in linreg_dist {__version__}; expected exact, sgd, adam, "
            f"adamw, rmsprop or auto"
        )
    return name


def _run_workers(job: TrainJob, folder: RunFolder, *, verbose: bool, watch: Watcher | None) -> dict[str, Any]:
    from linreg_dist.run.trainer import fit, ray_session

    with ray_session(job.spec, verbose=verbose):
        folder.metrics_jsonl.unlink(missing_ok=True)
        with watch(folder.metrics_jsonl) if watch else nullcontext():
            try:
                outcome = fit(job, verbose=verbose)
            finally:
                # Ray's own bookkeeping would resume a finished run; ours lies in checkpoints/.
                shutil.rmtree(folder.ray_storage, ignore_errors=True)
    return outcome


def _save(job: TrainJob, folder: RunFolder, outcome: dict[str, Any], began: float) -> dict[str, Any]:
    spec = job.spec
    versions = {"linreg_dist": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in ("torch", "ray", "pyarrow", "numpy")}
    solver = {
        "name": job.solver,
        "reason": _why_this_solver(spec, job.solver),
        "epochs": outcome["epochs"],
        "stopped": outcome["stopped"],
        **outcome["choices"],
    }
    details = {
        "name": spec.name,
        "solver": solver,
        "penalty": {"l1": spec.model.l1, "l2": spec.model.l2},
        "loss": spec.model.loss,
        "fit_intercept": spec.model.fit_intercept,
        "rows": outcome["rows"],
        "missing_values": outcome["missing"],
        "metrics": outcome["metrics"],
        "scaling": outcome["scaling"],
        **outcome["documents"],
        "data": {
            "path": list(spec.data.paths),
            "digest": job.manifest.digest,
            "files": len(job.manifest.files),
        },
        "versions": versions,
    }
    encoding = Encoding.from_json(outcome["encoding"])
    model = LinearModel(
        np.asarray(outcome["coef"]),
        np.asarray(outcome["intercept"]),
        encoding,
        job.columns.targets,
        spec.data.missing,
        details,
    )
    model.save(folder.model)
    coefficients = list(zip(encoding.names, model.coef_KD[0].tolist(), strict=True))
    card = model_card(spec.name, {**details, "targets": list(job.columns.targets)}, coefficients)
    write_whole(folder.model / "README.md", card)
    return {
        "status": SUCCEEDED,
        "name": spec.name,
        "solver": solver,
        "model": str(folder.model),
        "rows": outcome["rows"],
        "missing_values": outcome["missing"],
        "skipped_columns": job.columns.skipped,
        "metrics": outcome["metrics"],
        "timing": {
            "startup_s": outcome["entered"] - began,
            "train_s": outcome["left"] - outcome["entered"],
            "read_s": outcome["read_s"],
            "fit_s": outcome["train_s"],
            "teardown_s": outcome["teardown_s"],
            "total_s": time.time() - began,
            "rows_per_s": outcome["rows_per_s"],
        },
        "num_workers": outcome["world_size"] if spec.scaling.max_workers else 0,
        "versions": versions,
        "error": None,
    }


def _why_this_solver(spec: JobSpec, solver: str) -> str:
    if spec.solver.name != "auto":
        return "chosen in the spec"
    if solver == "exact":
        return "auto: squared loss has an exact solution in one pass"
    return f"auto: {'huber loss' if spec.model.loss == 'huber' else 'l1'} has no closed form"


def _failed_result(spec: JobSpec, status: str, error: dict[str, Any]) -> dict[str, Any]:
    return {
        "status": status,
        "name": spec.name,
        "solver": {"name": spec.solver.name},
        "model": None,
        "rows": None,
        "metrics": None,
        "timing": None,
        "versions": {"linreg_dist": __version__, "python": platform.python_version()},
        "error": error,
    }
