"""Use a saved model on Parquet: `evaluate` measures it, `predict` scores row for row.

Both stream row group by row group on all cores of this machine; neither needs the training job or its data.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from linreg_dist import limits
from linreg_dist.data.block import Block
from linreg_dist.data.capacity import at_once, decoded_nbytes, require_room
from linreg_dist.data.design.columns import check_columns, check_numbers, check_types
from linreg_dist.data.design.kind import Mask
from linreg_dist.data.design.types import is_string
from linreg_dist.data.reader import RowGroupReader, numeric_values
from linreg_dist.data.source.files import KeyRule, absolute_paths
from linreg_dist.data.source.manifest import Manifest, RowGroup, read_manifest
from linreg_dist.data.store import bounded_map
from linreg_dist.documents import Evaluation, Prediction
from linreg_dist.errors import DataError, SpecError
from linreg_dist.kernels.blas import one_blas_thread
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.run.outputs import place_below, refuse_in_run, refuse_other_files, refuse_over_input
from linreg_dist.run.state import load_model
from linreg_dist.run.unfinished import begun_with, digest_of, nulls_of_finished, unfinished, version_of
from linreg_dist.storage import Location, ObjectPath, as_location, create_file, upload_file
from linreg_dist.training.rows.metrics import ErrorSums
from linreg_dist.wording.names import some_names
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_LOOKUP_THREADS = 16
_MOST_TEXT_BYTES = 256 << 20  # of kept texts that are written at a time
_SMALLER_GROUPS = (
    "write the data with smaller row groups (row_group_size=1_000_000 in pyarrow), or use a machine with more"
)


def evaluate(model: LinearModel | str | Path | ObjectPath, data: str | Sequence[str]) -> Evaluation:
    """Measure a model on Parquet that has its features and its target.

    Args:
        model: the model, its folder or its run's folder.
        data: file, folder, glob, URI, or a list of those.

    Returns:
        The metrics; ``dropped`` counts rows without a usable target, and without a usable feature where the
        model was trained with ``missing: drop``.

    Raises:
        SpecError: there is no such model.
        DataError: the data does not fit the model, or no row can be measured.

    """
    fitted = _load(model)
    started = time.perf_counter()
    manifest = _manifest(data, fitted, fitted.targets)
    check_numbers([(name, "target") for name in fitted.targets], manifest)
    columns = [*_there(manifest, fitted), *fitted.targets]
    coef, intercept = fitted.coef_KD.T, fitted.intercept_K
    # The training mean of y, near which sums of squares keep their digits; without it the intercept must do.
    scaling = fitted.details.scaling
    x_mean = [0.0] * coef.shape[0] if scaling is None else scaling.x_mean
    center = intercept + np.asarray(x_mean) @ coef

    def measure(group: RowGroup, table: pa.Table) -> tuple[ErrorSums, int]:
        y_NK = np.stack([numeric_values(table.column(name)).astype(np.float64) for name in fitted.targets], 1)
        usable: Mask = np.asarray(np.isfinite(y_NK).all(axis=1))
        x_ND = fitted.design_matrix(table, manifest.where(group), usable)
        usable &= np.isfinite(x_ND).all(axis=1)
        rows = Block(x_ND[usable], y_NK[usable], None, int(usable.sum()))
        return ErrorSums.of(rows, coef, intercept, center), rows.num_rows

    total, used = ErrorSums.zeros(len(fitted.targets)), 0
    with one_blas_thread():
        for _, (sums, count) in _scan(manifest, fitted, columns, measure):
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

    Returns:
        What was written.

    Raises:
        SpecError: no such model; the output holds files already, or is, holds or lies in the data, or a run;
            what would be overwritten are no predictions.
        DataError: the data does not fit the model.
        StorageError: an object store does not answer.
        RunInUseError: the same is written there by another process now.

    """
    fitted = _load(model)
    started = time.perf_counter()
    manifest = _manifest(data, fitted, keep)
    folder = as_location(output)
    given = [data] if isinstance(data, str) else list(data)
    refuse_over_input(folder, given, [file.uri for file in manifest.files])
    refuse_in_run(folder, "--output")
    files = tuple(replace(file, key=place_below(file.key)) for file in manifest.files)
    manifest = replace(manifest, files=files)
    targets = [folder / file.key for file in manifest.files]
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
    digest = digest_of(fitted, manifest, keep)
    if present and not overwrite and begun_with(folder, digest) is None:
        raise SpecError(
            f"{present[0]} exists already ({len(present)} of {len(targets)} files); choose another "
            f"--output, or allow --overwrite"
        )
    names = ["prediction"] if len(fitted.targets) == 1 else [f"prediction_{name}" for name in fitted.targets]
    refuse_other_files(present, names)
    clash = [name for name in names if name in keep]
    if clash:
        raise SpecError(
            f"--keep {clash[0]} would be overwritten by the prediction of that name; leave it out"
        )

    def score(group: RowGroup, table: pa.Table) -> pa.Table:
        predicted = fitted.design_matrix(table, manifest.where(group)) @ fitted.coef_KD.T + fitted.intercept_K
        columns = list(predicted.T)
        kept = table.select(list(dict.fromkeys(keep)))
        predictions = {
            name: pa.array(values, mask=np.isnan(values)) for name, values in zip(names, columns, strict=True)
        }
        # By columns: a table of none has lost its number of rows.
        return pa.table({**dict(zip(kept.column_names, kept.columns, strict=True)), **predictions})

    rows, nulls = 0, 0
    written = [*dict.fromkeys(keep), *names]
    with unfinished(folder, digest, there) as earlier, _FileWriter(targets) as writer:
        finished = _finished_files(
            folder, manifest, written, [key for key in there if there[key] != earlier.get(key)]
        )
        if finished:
            logger.warning("%s: %s of %s files are finished; going on", folder, len(finished), len(targets))
            nulls = sum(finished.values())
            rows = sum(file.num_rows for file in manifest.files if file.key in finished)
        groups = [group for group in manifest.row_groups if manifest.files[group.file].key not in finished]
        wanted = (*_there(manifest, fitted), *keep)
        for group, table in _scan(manifest, fitted, wanted, score, groups, texts=_texts(manifest, keep)):
            writer.write(group.file, table)
            rows += table.num_rows
            nulls += table.column(names[0]).null_count
        empty = pa.schema(
            [manifest.schema.field(name) for name in dict.fromkeys(keep)]
            + [pa.field(name, pa.float64()) for name in names]
        )
        for number, file in enumerate(manifest.files):
            if file.num_rows == 0:
                writer.write(number, empty.empty_table())
    return Prediction(
        output=str(folder),
        files=len(targets),
        rows=rows,
        null_predictions=nulls,
        seconds=time.perf_counter() - started,
    )


def _finished_files(
    folder: Location, manifest: Manifest, columns: Sequence[str], keys: Sequence[str]
) -> dict[str, int]:
    """Return which files of an earlier attempt are finished: the number of null predictions by key."""
    rows = {file.key: file.num_rows for file in manifest.files}
    with ThreadPoolExecutor(_LOOKUP_THREADS) as pool:
        found = pool.map(lambda key: nulls_of_finished(folder / key, columns, rows[key]), keys)
        return {key: nulls for key, nulls in zip(keys, found, strict=True) if nulls is not None}


class _FileWriter:
    """Writes row groups to one file after another; each file gets its name when the next one begins."""

    def __init__(self, targets: Sequence[Location]) -> None:
        self._targets = targets
        self._file: int | None = None
        self._temporary: Path | None = None
        self._sink: BinaryIO | None = None
        self._writer: pq.ParquetWriter | None = None

    def write(self, file: int, table: pa.Table) -> None:
        if file != self._file:
            self._finish()
            self._file = file
            self._temporary, self._sink = self._make_temporary(self._targets[file])
            self._writer = pq.ParquetWriter(self._sink, _plain(table.slice(0, 0)).schema)
        if self._writer is not None:
            for part in _parts(table):
                self._writer.write_table(_plain(part))

    def __enter__(self) -> _FileWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._writer is not None:  # else it would write when it is forgotten
                with suppress(OSError):
                    self._writer.close()
            self._close_sink()
            if self._temporary is not None:
                self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._writer is None or self._temporary is None or self._file is None:
            return
        self._writer.close()
        self._close_sink()
        target = self._targets[self._file]
        if isinstance(target, ObjectPath):
            upload_file(self._temporary, target)
            self._temporary.unlink()
        else:
            self._temporary.replace(target)
        self._writer = None

    def _close_sink(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None

    def _make_temporary(self, target: Location) -> tuple[Path, BinaryIO]:
        if isinstance(target, ObjectPath):
            handle, name = tempfile.mkstemp(prefix="linreg_dist-", suffix=".parquet")
            return Path(name), os.fdopen(handle, "wb")
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.tmp")
        return beside, create_file(beside)


def _plain(table: pa.Table) -> pa.Table:
    """Give columns that were read as dictionaries for encoding their own type back."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _texts(manifest: Manifest, names: Sequence[str]) -> list[str]:
    """Return which of these columns are texts; read as dictionaries they take as little memory as on disk."""
    kinds = {field.name: field.type for field in manifest.schema}
    return [name for name in dict.fromkeys(names) if is_string(kinds[name])]


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    """Yield a table in parts whose texts are not too long to be written out; mostly it is one part."""
    ends = np.zeros(table.num_rows, dtype=np.int64)
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            lengths = [
                pc.binary_length(chunk.dictionary).take(chunk.indices).fill_null(0).to_numpy()
                for chunk in column.chunks
            ]
            ends += np.cumsum(np.concatenate(lengths), dtype=np.int64)
    start = 0
    while start < table.num_rows:
        written = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, written + _MOST_TEXT_BYTES, side="right")))
        yield table.slice(start, stop - start)
        start = stop


def _load(model: LinearModel | str | Path | ObjectPath) -> LinearModel:
    return model if isinstance(model, LinearModel) else load_model(model)


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
    there = _there(manifest, model)
    check_types([column for column in model.encoding.columns if column.name in there], manifest)
    return manifest


def _there(manifest: Manifest, model: LinearModel) -> list[str]:
    """Return the model's columns that the data has; one without a coefficient may be lacking."""
    return [name for name in model.columns if name in manifest.schema.names]


def _scan(
    manifest: Manifest,
    model: LinearModel,
    columns: Sequence[str],
    function: Any,
    groups: Sequence[RowGroup] | None = None,
    texts: Sequence[str] = (),
) -> Iterator[tuple[RowGroup, Any]]:
    """Yield ``(row group, function(row group, table))`` in file order, computed on all cores, as many at a
    time as there is memory for.

    Args:
        manifest, model: what is read, and for which model.
        columns: what to read.
        function: called in threads.
        groups: the row groups, all unless given.
        texts: columns that come as dictionaries.

    Raises:
        DataError: a row group cannot be held.

    """
    dictionaries = [
        column.name for column in model.encoding.columns if column.dictionary and column.name in columns
    ]
    reader = RowGroupReader(
        manifest, list(dict.fromkeys(columns)), list(dict.fromkeys((*dictionaries, *texts)))
    )
    chosen = manifest.row_groups if groups is None else groups
    if not chosen:
        return
    largest = max(chosen, key=lambda group: group.num_rows)
    x_nbytes = largest.num_rows * model.encoding.num_encoded * 8
    need = x_nbytes + decoded_nbytes(manifest, largest, columns)
    what = f"{manifest.where(largest)} has {largest.num_rows:,} rows, which"
    require_room(need, what, _SMALLER_GROUPS)
    threads = at_once(2 * need, limits.available_cpus())

    def one(group: RowGroup) -> Any:
        return function(group, reader.read(group))

    with ThreadPoolExecutor(threads, thread_name_prefix="score") as pool:
        results = bounded_map(pool, one, chosen, threads + 1)
        yield from zip(chosen, results, strict=True)
