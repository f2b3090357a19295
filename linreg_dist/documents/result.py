"""The documents of a run: result.json, and what config.json says of a model.

Files of earlier versions are read too, so a field that they may lack has a default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import AliasChoices, ConfigDict, Field

from linreg_dist.documents.base import Document
from linreg_dist.documents.diagnostics import DiagnosticsCost
from linreg_dist.documents.inference import Inference, PenaltyDocument, Tune
from linreg_dist.documents.metrics import SplitMetrics


class SolverDocument(Document):
    """The solver that ran, why it was chosen, and what it knows about its fit.

    Attributes:
        name: of the solver.
        reason: why this one.
        fallback: the solver that it replaced, and why, where it did.
        epochs: passes over the training rows, over all attempts.
        stopped: why it ended.
        method, standardize, condition_number, relative_gradient, rank: of an exact fit.
        constant_columns, collinear_columns: features that explain nothing, or nothing of their own.
        accuracy: why digits may be missing.
        learning_rate, global_batch_size, steps_per_epoch, averaged_over_last_epoch: of an epoch loop.
        evaluations, gradient: of the objective, in L-BFGS.
        huber_scale: robust scale of the residuals, per target.
        fixed_step_s, sweep_rows_per_s, fixed_share_of_step: what a step costs, measured where the batch size
            is left to ``auto``.
        batch_size_first_chosen, batch_size_reason: the size before steps of it were run, and why
            ``global_batch_size`` is what it is.
        device, device_reason: where the arithmetic was done (``cpu``, ``cuda``), and why, where that was
            chosen.

    """

    name: str = "unknown"
    reason: str | None = None
    fallback: str | None = None
    epochs: int | None = None
    stopped: str | None = None
    method: str | None = None
    standardize: bool | None = None
    condition_number: float | None = None
    relative_gradient: float | None = None
    rank: int | None = None
    constant_columns: list[str] = Field(default_factory=list)
    collinear_columns: dict[str, list[str]] = Field(default_factory=dict)
    accuracy: str | None = None
    learning_rate: float | None = None
    global_batch_size: int | None = None
    steps_per_epoch: int | None = None
    averaged_over_last_epoch: bool | None = None
    evaluations: int | None = None
    gradient: float | None = None
    huber_scale: list[float] | None = None
    fixed_step_s: float | None = None
    sweep_rows_per_s: float | None = None
    fixed_share_of_step: float | None = None
    batch_size_first_chosen: int | None = None
    batch_size_reason: str | None = None
    device: str | None = None
    device_reason: str | None = None


class RowsDocument(Document):
    """What became of the rows: used once per pass, held out, and left out by each rule."""

    train: int
    validation: int
    dropped: dict[str, int] = Field(default_factory=dict)

    @property
    def num_dropped(self) -> int:
        """Rows left out, by all rules together."""
        return sum(self.dropped.values())

    @property
    def num_read(self) -> int:
        """All rows that were read."""
        return self.train + self.validation + self.num_dropped


class Timing(Document):
    """Seconds of each part of a run, and training rows a second."""

    startup_s: float | None = None
    train_s: float | None = None
    read_s: float | None = None
    fit_s: float | None = None
    teardown_s: float | None = None
    total_s: float | None = None
    rows_per_s: float | None = None
    diagnostics_s: float | None = None
    report_s: float | None = None


class WorkerTime(Document):
    """The time of one worker in the last attempt.

    Attributes:
        rank: 0 … n-1.
        seconds: from its first row group to its last step.
        waiting_s: of these, waiting for the other workers and exchanging with them.
        row_groups: that it owned.
        bytes_read: of the files, compressed.

    """

    rank: int
    seconds: float
    waiting_s: float
    row_groups: int
    bytes_read: int


class SkippedFile(Document):
    """An entry of the data that was not read, and why."""

    path: str
    reason: str


class TableDocument(Document):
    """A Delta or Iceberg table that was read, and the snapshot of it.

    Attributes:
        format: delta or iceberg.
        path: as the spec names it.
        version: the Delta version or the Iceberg snapshot id.
        role: train, or validation for a table of ``data.validation.path``.

    """

    format: str
    path: str
    version: int
    role: Literal["train", "validation"] = "train"

    @property
    def text(self) -> str:
        """The snapshot in words: ``delta table, version 3``."""
        return f"{self.format} table, {'snapshot' if self.format == 'iceberg' else 'version'} {self.version}"


class DataDocument(Document):
    """The data that a run or a model was made from.

    Attributes:
        path: as the spec names it, paths absolute.
        digest: a fingerprint of all files.
        format: parquet, delta or iceberg.
        version: the snapshot of a table; None for files.
        tables: every table that was read.
        files, row_groups, rows: how many there are; rows before any rule leaves some out.
        row_groups_skipped: those that the filter ruled out by their statistics or their folder.
        bytes_read: of the files, compressed, by all workers in the last attempt; a row group that is kept in
            memory or on the disk is read once.
        skipped_columns: columns that are no features, each with the reason.
        skipped_files: entries that look like data and were not read.

    """

    path: list[str] | None = None
    digest: str | None = None
    format: str | None = None
    version: int | str | None = None
    tables: list[TableDocument] = Field(default_factory=list)
    files: int | None = None
    row_groups: int | None = None
    rows: int | None = None
    row_groups_skipped: int | None = None
    bytes_read: int | None = None
    skipped_columns: dict[str, str] = Field(default_factory=dict)
    skipped_files: list[SkippedFile] = Field(default_factory=list)


class StuckReport(Document):
    """A worker that made no progress: where it was, how it was noticed, and its stacks."""

    rank: int
    world_size: int
    host: str | None = None
    ip: str | None = None
    pid: int | None = None
    doing: str
    how: str
    process_state: str | None = None
    stack: str | None = None


class ErrorRecord(Document):
    """The error that ended a run."""

    type: str = "LinregDistError"
    message: str
    exit_code: int = 1
    stuck: list[StuckReport] = Field(default_factory=list)


class UpdateDocument(Document):
    """What an update added: to which run, how many new files and rows, and how many of a table's files and
    rows it took away because they are no longer part of the table.
    """

    run: str = Field(validation_alias=AliasChoices("from", "run"), serialization_alias="from")
    files: int
    rows: int
    removed_files: int = 0
    removed_rows: int = 0


class ScalingDocument(Document):
    """Mean and standard deviation of every encoded feature on the training rows."""

    x_mean: list[float | None]
    x_std: list[float | None]


class ModelDetails(Document):
    """What config.json says of a model beside how to predict with it."""

    name: str | None = None
    solver: SolverDocument | None = None
    penalty: PenaltyDocument | None = None
    loss: str | None = None
    fit_intercept: bool = True
    rows: RowsDocument | None = None
    missing_values: dict[str, int] | None = None
    metrics: SplitMetrics | None = None
    scaling: ScalingDocument | None = None
    inference: Inference | None = None
    tune: Tune | None = None
    data: DataDocument | None = None
    versions: dict[str, str] | None = None


_ALWAYS = ("status", "name", "solver", "model", "rows", "metrics", "timing", "versions", "error")


class ResultDocument(Document):
    """result.json: how a run ended.

    Attributes:
        status: succeeded, failed or interrupted.
        model, report: their places; None where there is none.
        report_reason: why there is no report.
        exports: the place of each format of ``outputs.export``.
        export_reasons: why one of them is not there.
        loss, penalty: what was minimised; the penalty that was chosen, where cross-validation did.
        diagnostics: what the pass behind diagnostics.json took; None where there was none.
        diagnostics_reason: why there is none.
        worker_groups: sizes of the groups of workers that were started.
        workers: the time of each worker, where there were some.
        stuck: workers that were found stuck on the way.

    """

    model_config = ConfigDict(
        title="linreg-dist result",
        json_schema_extra={"required": list(_ALWAYS), "$id": "urn:linreg-dist:result:1"},
    )

    status: str = "unknown"
    name: str | None = None
    started_at: str | None = None
    solver: SolverDocument | None = None
    loss: str | None = None
    penalty: PenaltyDocument | None = None
    model: str | None = None
    report: str | None = None
    report_reason: str | None = None
    exports: dict[str, str] = Field(default_factory=dict)
    export_reasons: dict[str, str] = Field(default_factory=dict)
    diagnostics: DiagnosticsCost | None = None
    diagnostics_reason: str | None = None
    rows: RowsDocument | None = None
    missing_values: dict[str, int] | None = None
    skipped_columns: dict[str, str] = Field(default_factory=dict)
    data: DataDocument | None = None
    metrics: SplitMetrics | None = None
    timing: Timing | None = None
    num_workers: int | None = None
    worker_groups: list[int] = Field(default_factory=list)
    workers: list[WorkerTime] = Field(default_factory=list)
    stuck: list[StuckReport] = Field(default_factory=list)
    versions: dict[str, str] | None = None
    tune: Tune | None = None
    update: UpdateDocument | None = None
    error: ErrorRecord | None = None


def result_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of result.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ResultDocument.model_json_schema(by_alias=True),
    }


@dataclass(frozen=True)
class Found:
    """What the workers found, in plain numbers.

    Attributes:
        coef_KD, intercept_K: in the units of the files.
        encoding: how columns were encoded, as JSON.
        scaling, rows, missing_values, metrics: of the training data.
        solver: the solver that ran, without the reason for it.
        penalty: what the spec or cross-validation chose; None for the spec's.
        inference, tune: of an exact fit.
        rows_per_s: training rows a second over all workers.
        read_s, fit_s: seconds of reading and of solving.
        bytes_read: of the files, over all workers, in this attempt.
        workers: the time of each.
        unwritten_metrics: the lines of metrics.jsonl, if an object store would not take them.

    """

    coef_KD: Sequence[Sequence[float]]
    intercept_K: Sequence[float]
    encoding: Sequence[Mapping[str, Any]]
    scaling: ScalingDocument
    rows: RowsDocument
    missing_values: Mapping[str, int]
    metrics: SplitMetrics
    solver: SolverDocument
    rows_per_s: float
    read_s: float
    fit_s: float
    penalty: PenaltyDocument | None = None
    inference: Inference | None = None
    tune: Tune | None = None
    bytes_read: int | None = None
    workers: Sequence[WorkerTime] = ()
    unwritten_metrics: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What the train function returns on every worker, and what the driver adds to rank 0's.

    Attributes:
        found: None where the workers agreed on an error.
        error: that error, as `linreg_dist.errors.to_record` writes it.
        entered, left: Unix times.
        world_size: of the group of workers that came to the end.
        teardown_s, worker_groups, stuck: what the driver saw.

    """

    found: Found | None
    error: dict[str, object] | None
    entered: float
    left: float
    world_size: int
    teardown_s: float = 0.0
    worker_groups: Sequence[int] = ()
    stuck: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
