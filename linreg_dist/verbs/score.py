"""Use a saved model on Parquet: `evaluate` measures it, `predict` scores row for row.

Both stream row group by row group on all cores of this machine; neither needs the training job or its data.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from linreg_dist.data.block import Block
from linreg_dist.data.design.columns import check_columns, check_numbers, check_types
from linreg_dist.data.design.kind import Mask
from linreg_dist.data.reader import numeric_values
from linreg_dist.data.source.files import KeyRule, absolute_paths
from linreg_dist.data.source.manifest import Manifest, RowGroup, read_manifest
from linreg_dist.documents import Evaluation, Prediction
from linreg_dist.errors import DataError, SpecError
from linreg_dist.jobspec import JobSpec, load_spec
from linreg_dist.kernels.blas import one_blas_thread
from linreg_dist.model.intervals import Intervals
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.run.local_limits import check_this_machine
from linreg_dist.run.outputs import place_below, refuse_in_run, refuse_other_files, refuse_over_input
from linreg_dist.run.state import loaded_model
from linreg_dist.run.unfinished import begun_with, digest_of, nulls_of_finished, unfinished, version_of
from linreg_dist.storage import Location, ObjectPath, as_location
from linreg_dist.training.rows.metrics import ErrorSums
from linreg_dist.verbs.scoring.job import ScoringJob
from linreg_dist.verbs.scoring.scan import scan, there_of
from linreg_dist.verbs.scoring.workers import run_on_workers
from linreg_dist.wording.names import some_names
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_LOOKUP_THREADS = 16
_WHERE = re.compile(r"(scaling|cluster|run)\.")


def evaluate(
    model: LinearModel | str | Path | ObjectPath, data: str | Sequence[str], *, allow_module: bool = False
) -> Evaluation:
    """Measure a model on Parquet that has its features and its target.

    Args:
        model: the model, its folder or its run's folder.
        data: file, folder, glob, URI, or a list of those.
        allow_module: whether the class of a module of the user's own may be imported, which runs its code.

    Returns:
        The metrics; ``dropped`` counts rows without a usable target, and without a usable feature where the
        model was trained with ``missing: drop``.

    Raises:
        SpecError: there is no such model.
        DataError: the data does not fit the model, or no row can be measured.

    """
    fitted = loaded_model(model, allow_module=allow_module)
    started = time.perf_counter()
    manifest = _manifest(data, fitted, fitted.targets)
    check_numbers([(name, "target") for name in fitted.targets], manifest)
    columns = [*there_of(manifest, fitted), *fitted.targets]
    coef, intercept = fitted.coef_KD.T, fitted.intercept_K
    # The training mean of y, near which sums of squares keep their digits; without it the intercept must do.
    scaling = fitted.details.scaling
    x_mean = [0.0] * coef.shape[0] if scaling is None else scaling.x_mean
    center = intercept + np.asarray(x_mean) @ coef
    if not fitted.is_linear:  # its predictions are measured as features with slope 1
        coef, intercept, center = np.eye(len(intercept)), np.zeros(len(intercept)), np.zeros(len(intercept))

    def measure(group: RowGroup, table: pa.Table) -> tuple[ErrorSums, int]:
        y_NK = np.stack([numeric_values(table.column(name)).astype(np.float64) for name in fitted.targets], 1)
        usable: Mask = np.asarray(np.isfinite(y_NK).all(axis=1))
        x_ND = fitted.design_matrix(table, manifest.where(group), usable)
        usable &= np.isfinite(x_ND).all(axis=1)
        x_ND = x_ND[usable] if fitted.is_linear else fitted.predict_encoded(x_ND[usable])
        rows = Block(x_ND, y_NK[usable], None, len(x_ND))
        return ErrorSums.of(rows, coef, intercept, center), rows.num_rows

    total, used = ErrorSums.zeros(len(fitted.targets)), 0
    with one_blas_thread():
        for _, (sums, count) in scan(manifest, fitted, columns, measure):
            total.merge(sums)
            used += count
    metrics = total.metrics(fitted.targets)
    if metrics is None:
        raise DataError(
            f"none of {manifest.num_rows:,} rows has a usable target {some_names(fitted.targets)} and "
            f"usable features; expected at least one"
        )
    return Evaluation(
        metrics=metrics,
        rows=used,
        dropped=manifest.num_rows - used,
        seconds=time.perf_counter() - started,
    )


def predict(
    model: LinearModel | str | Path | ObjectPath,
    data: str | Sequence[str],
    output: str | Path | ObjectPath,
    keep: Sequence[str] = (),
    *,
    overwrite: bool = False,
    interval: float | None = None,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    allow_module: bool = False,
) -> Prediction:
    """Score Parquet into Parquet, row for row: one output file for each input file, in the same order of
    rows.

    The output has the columns of ``keep`` and ``prediction`` (``prediction_<target>`` for several targets),
    float64; it is null where a feature is missing and the model was trained with ``missing: drop``. A file
    appears under its name only when it is complete: on an object store it is written to a temporary folder
    of this machine first (``TMPDIR`` moves it), one file at a time. Where it was stopped, the same call goes
    on: finished files of the same model, data and ``keep`` stay, and the others are written.

    Args:
        model: the model, its folder or its run's folder.
        data: file, folder, glob, URI, or a list of those.
        output: folder or URI to write into; the files keep their places below it.
        keep: input columns to carry over.
        overwrite: write over files that are there.
        interval: a level of confidence: adds ``prediction_mean_low``, ``…_mean_high``, of the mean
            of rows like each, and ``prediction_low`` and ``prediction_high``, of one observation; of several
            targets ``prediction_<target>_mean_low`` and so on.
        overrides: where it runs, as fields of a spec: ``{"scaling.num_workers": 2}``, or
            ``["scaling.num_workers=2"]``; of the sections scaling, cluster and run.
        allow_module: as in `evaluate`.

    Returns:
        What was written.

    Raises:
        SpecError: no such model; the output holds files already, or is, holds or lies in the data, or a run;
            what would be overwritten are no predictions; intervals of a model without standard errors.
        DataError: the data does not fit the model.
        StorageError: an object store does not answer.
        RunInUseError: the same is written there by another process now.

    """
    fitted = loaded_model(model, allow_module=allow_module)
    spec = _where(data, fitted, overrides) if overrides else None
    intervals = None if interval is None else Intervals(fitted, interval)
    started = time.perf_counter()
    manifest = _manifest(data, fitted, keep)
    folder = as_location(output)
    given = [data] if isinstance(data, str) else list(data)
    refuse_over_input(folder, given, [file.uri for file in manifest.files])
    refuse_in_run(folder, "--output")
    files = tuple(replace(file, key=place_below(file.key)) for file in manifest.files)
    manifest = replace(manifest, files=files)
    job = ScoringJob(fitted, manifest, folder, tuple(dict.fromkeys(keep)), intervals)
    targets = job.targets
    if len(set(targets)) < len(targets):
        raise SpecError(
            f"two input files would be written to the same place below {folder}; predict one folder at a time"
        )
    # One request an object, and an object store answers many at once.
    with ThreadPoolExecutor(_LOOKUP_THREADS) as pool:
        versions = dict(
            zip((file.key for file in manifest.files), pool.map(version_of, targets), strict=True)
        )
    there = {key: version for key, version in versions.items() if version is not None}
    present = [folder / key for key in there]
    digest = digest_of(fitted, manifest, keep, interval)
    if present and not overwrite and begun_with(folder, digest) is None:
        raise SpecError(
            f"{present[0]} exists already ({len(present)} of {len(targets)} files); choose another "
            f"--output, or allow --overwrite"
        )
    refuse_other_files(present, job.predictions)
    job.check_names()

    rows, nulls = 0, 0
    with unfinished(folder, digest, there) as earlier:
        finished = _finished_files(
            folder, manifest, job.columns, [key for key in there if there[key] != earlier.get(key)]
        )
        if finished:
            logger.warning("%s: %s of %s files are finished; going on", folder, len(finished), len(targets))
            nulls = sum(finished.values())
            rows = sum(file.num_rows for file in manifest.files if file.key in finished)
        left = [number for number, file in enumerate(manifest.files) if file.key not in finished]
        if spec is not None and spec.scaling.max_workers > 0:
            scored = run_on_workers(job, left, spec)
        else:
            scored = job.run(left)
    return Prediction(
        output=str(folder),
        files=len(targets),
        rows=rows + scored.rows,
        null_predictions=nulls + scored.nulls,
        seconds=time.perf_counter() - started,
    )


def _where(
    data: str | Sequence[str], model: LinearModel, overrides: Mapping[str, Any] | Sequence[str]
) -> JobSpec:
    """Return the spec of a job on these data, of which only where it runs counts.

    Raises:
        SpecError: an override is invalid, or is none of where it runs; workers that this machine cannot have.

    """
    paths = [data] if isinstance(data, str) else list(data)
    other = [
        field for field in (each.partition("=")[0].strip() for each in overrides) if not _WHERE.match(field)
    ]
    if other:
        raise SpecError(
            f"--set {other[0]} means nothing to predict, which takes fields of scaling, cluster and run"
        )
    document = {"name": "predict", "data": {"path": paths, "target": list(model.targets)}}
    spec = load_spec(document, overrides)
    if spec.scaling.max_workers:
        check_this_machine(spec)
    return spec


def _finished_files(
    folder: Location, manifest: Manifest, columns: Sequence[str], keys: Sequence[str]
) -> dict[str, int]:
    """Return which files of an earlier attempt are finished: the number of null predictions by key."""
    rows = {file.key: file.num_rows for file in manifest.files}
    with ThreadPoolExecutor(_LOOKUP_THREADS) as pool:
        found = pool.map(lambda key: nulls_of_finished(folder / key, columns, rows[key]), keys)
        return {key: nulls for key, nulls in zip(keys, found, strict=True) if nulls is not None}


def _manifest(data: str | Sequence[str], model: LinearModel, needed: Sequence[str]) -> Manifest:
    paths = [data] if isinstance(data, str) else list(data)
    texts: dict[str, KeyRule] = {
        column.name: "always" for column in model.encoding.columns if column.text_levels
    }
    manifest = read_manifest(absolute_paths(paths), text_keys=texts, may_be_empty=True)
    wanted = dict.fromkeys((*model.needed_columns, *needed))
    purposes = dict.fromkeys(needed, "to be kept")
    purposes |= dict.fromkeys(model.targets, "the target")
    purposes |= dict.fromkeys(model.needed_columns, "the model needs it")
    check_columns([(name, purposes[name]) for name in wanted], manifest)
    there = there_of(manifest, model)
    check_types([column for column in model.encoding.columns if column.name in there], manifest)
    return manifest
