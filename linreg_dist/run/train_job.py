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
from linreg_dist.covariance import FILE_NAME as COVARIANCE_FILE
from linreg_dist.data.columns import Columns, bind_columns, check_columns
from linreg_dist.data.encoding import Encoding
from linreg_dist.data.manifest import Manifest, read_manifest
from linreg_dist.data.plan import num_lanes
from linreg_dist.errors import DataError, InterruptedRunError, LinregDistError, SpecError, to_record
from linreg_dist.model import LinearModel
from linreg_dist.run.card import model_card
from linreg_dist.run.folder import FAILED, INTERRUPTED, SUCCEEDED, RunFolder, write_whole
from linreg_dist.run.update import Addition, plan_update
from linreg_dist.spec import JobSpec, load_spec
from linreg_dist.training.job import MAX_EXACT_COLUMNS, TrainJob
from linreg_dist.training.partials import FOLDER as MOMENT_CHECKPOINTS

_MOMENTS_BYTES = 1 << 30  # of all lanes; at 4,096 columns one Gram matrix takes 128 MiB

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
    update: str | Path | None = None,
) -> Run:
    """Run one job and wait for it.

    Args:
        spec: a spec file, the same as a dict, or a `JobSpec`.
        overrides: ``{"model.l2": 0.1}``, or ``["model.l2=0.1"]`` as on the command line.
        fresh: start over where a run of this name exists; else an unfinished one is continued and a finished
            one returned.
        verbose: let Ray's log lines through.
        watch: called with the path of metrics.jsonl, returns a context that is open while training goes on.
        update: the folder of an earlier run of the exact solver: only files that are new since are read, and
            their rows are added to its statistics. It may be this very run, whose history is then kept.

    Raises:
        SpecError: the spec is invalid, or its name belongs to a run of another spec.
        DataError: the data does not fit the spec.
        ClusterError: the cluster is unreachable or too small.
        RunFailedError: training could not finish.
        InterruptedRunError: it was stopped by an interrupt.

    """
    checked = load_spec(spec, overrides)
    refuse_unavailable(checked)
    folder = RunFolder.of(checked)
    began = time.time()
    try:
        manifest, columns = read_data(checked)
    except LinregDistError as error:
        folder.fail_early(_failed_result(checked, FAILED, to_record(error)))
        raise
    addition = None if update is None else plan_update(update, checked, manifest, columns)
    if addition is not None and addition.is_empty:
        return Run(addition.run, _finished(addition.run), already_finished=True)
    in_place = addition is not None and addition.run.resolve() == folder.path.resolve()
    if in_place:
        folder.begin_update()
    else:
        earlier = folder.begin(checked, manifest.digest, fresh=fresh)
        if earlier is not None:
            return Run(folder.path, earlier, already_finished=True)
    try:
        job = plan_job(checked, manifest, columns, folder, addition)
        outcome = _run_workers(job, folder, verbose=verbose, watch=watch)
        result = _save(job, manifest, folder, outcome, began)
    except LinregDistError as error:
        if not in_place:  # where it is, the earlier result still stands
            status = INTERRUPTED if isinstance(error, InterruptedRunError) else FAILED
            folder.finish(_failed_result(checked, status, to_record(error)))
        raise
    except Exception as error:
        if not in_place:
            unexpected = {"type": type(error).__name__, "message": str(error), "exit_code": 1}
            folder.finish(_failed_result(checked, FAILED, unexpected))
        raise
    if in_place:
        # The statistics last: until they are there, the same update would be made again, and not twice.
        folder.finish_update(checked, manifest.digest, result)
        _keep_statistics(job, folder)
    else:
        _keep_statistics(job, folder)
        folder.finish(result)
    return Run(folder.path, result)


def refuse_unavailable(spec: JobSpec) -> None:
    """Refuse what the spec can say and this version cannot do, rather than leave it out in silence.

    Raises:
        SpecError: names each such field.

    """
    asked = {
        "outputs.export": bool(spec.outputs.export),
        "tracking.mlflow": spec.tracking.mlflow is not None,
        "tracking.tensorboard": spec.tracking.tensorboard,
    }
    missing = [field for field, is_asked in asked.items() if is_asked]
    if missing:
        raise SpecError(
            f"{', '.join(missing)}: not available in linreg_dist {__version__}; remove it from the spec. The "
            "model is in model/ as safetensors and JSON, the metrics in metrics.jsonl and result.json"
        )
    if spec.matrix is not None:
        raise SpecError("the spec has a matrix, which is many jobs; run it with `linreg-dist batch`")


def read_data(spec: JobSpec) -> tuple[Manifest, Columns]:
    """Read the footers and match the spec's columns with them.

    Raises:
        DataError: nothing there, not Parquet, a missing column or a wrong type.

    """
    manifest = read_manifest(spec.data.paths, spec.data.validation.paths)
    columns = bind_columns(spec.data, manifest)
    if spec.data.cluster is not None:
        check_columns([(spec.data.cluster, "cluster")], manifest)
    return manifest, columns


def plan_job(
    spec: JobSpec,
    manifest: Manifest,
    columns: Columns,
    folder: RunFolder,
    addition: Addition | None = None,
) -> TrainJob:
    """Decide what ``auto`` leaves open before any worker starts."""
    if addition is not None:
        manifest = addition.manifest
    shards = spec.scaling.virtual_shards
    row_nbytes = max(group.num_bytes // group.num_rows for group in manifest.row_groups)
    scaling = spec.scaling
    lanes = num_lanes(
        manifest,
        max(1, scaling.max_workers),
        row_nbytes,
        None if shards == "auto" else shards,
        cached=(scaling.memory_budget_bytes, scaling.disk_budget_bytes) != (0, 0),
    )
    solver = choose_solver(spec)
    if solver == "exact" and shards == "auto":
        lanes = max(min(lanes, scaling.max_workers), min(lanes, _most_lanes(spec, columns)))
    return TrainJob(
        spec,
        manifest,
        columns,
        lanes,
        solver,
        folder.path,
        encoding=None if addition is None else addition.encoding,
        update_from=None if addition is None else addition.statistics,
    )


def _most_lanes(spec: JobSpec, columns: Columns) -> int:
    """Return how many lanes may each hold moments of its own within `_MOMENTS_BYTES`.

    Levels that are yet to be found are not counted.
    """
    width = len(columns.numeric) + sum(len(levels or ()) for levels in columns.categorical.values())
    matrices = 1 + (spec.tune.folds if spec.tune else 1)
    return max(1, _MOMENTS_BYTES // (8 * matrices * (width + len(columns.targets)) ** 2))


def choose_solver(spec: JobSpec) -> str:
    """Return the solver that ``solver.name`` stands for before the encoded columns are counted; see
    `settle_solver` for the rest.

    Raises:
        SpecError: the solver cannot minimise what the spec asks for.

    """
    name, model = spec.solver.name, spec.model
    if name == "lbfgs" and model.l1 > 0.0:
        raise SpecError(
            f"solver.name lbfgs needs a smooth objective, and model.l1 is {model.l1:g}; use exact (squared "
            "loss), sgd (which gives exact zeros too), or model.l2 instead"
        )
    if name != "auto":
        return name
    if model.loss == "squared":
        return "exact"
    return "lbfgs" if model.l1 == 0.0 else "sgd"


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


def _keep_statistics(job: TrainJob, folder: RunFolder) -> None:
    """Let the statistics that the run left count, and remove the checkpoints that led to them."""
    if job.pending_statistics.exists():
        job.pending_statistics.replace(folder.statistics)
    shutil.rmtree(job.run_dir / MOMENT_CHECKPOINTS, ignore_errors=True)


def _finished(run: Path) -> dict[str, Any]:
    """Return the result of a run that has succeeded.

    Raises:
        DataError: it has not.

    """
    result = RunFolder(run).result() if run.is_dir() else None
    if result is None or result["status"] != SUCCEEDED:
        raise DataError(
            f"there is no new file to add to {run}, and it is no run that has succeeded, whose result could "
            "stand; run the job without --update"
        )
    return result


def _save(
    job: TrainJob, manifest: Manifest, folder: RunFolder, outcome: dict[str, Any], began: float
) -> dict[str, Any]:
    spec = job.spec
    versions = {"linreg_dist": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in ("torch", "ray", "pyarrow", "numpy")}
    solver = {
        "name": outcome["solver"],
        "reason": _why_this_solver(spec, outcome["solver"]),
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
            "digest": manifest.digest,
            "files": len(manifest.files),
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
    if job.pending_covariance.exists():
        job.pending_covariance.replace(folder.model / COVARIANCE_FILE)
    extra: dict[str, Any] = {}
    if "tune" in outcome["documents"]:
        extra["tune"] = outcome["documents"]["tune"]
    if job.update_from is not None:
        extra["update"] = {
            "from": str(job.update_from.parent),
            "files": len(job.manifest.files),
            "rows": job.manifest.num_rows,
        }
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
        **extra,
        "error": None,
    }


def _why_this_solver(spec: JobSpec, solver: str) -> str:
    if spec.solver.name != "auto":
        return "chosen in the spec"
    if solver == "exact":
        return "auto: squared loss has an exact solution in one pass"
    if spec.model.loss == "squared":
        return f"auto: more than {MAX_EXACT_COLUMNS:,} columns after encoding are too many for a Gram matrix"
    return f"auto: huber loss has no closed form{', and l1 no gradient' if solver == 'sgd' else ''}"


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
