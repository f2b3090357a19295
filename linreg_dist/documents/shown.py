"""The documents that the verbs print with ``--json``, beside result.json."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field

from linreg_dist.documents.base import Document
from linreg_dist.documents.inference import CoefficientInference, PenaltyDocument, Tune
from linreg_dist.documents.metrics import EpochLine, Metrics, SplitMetrics
from linreg_dist.documents.result import (
    DataDocument,
    ResultDocument,
    RowsDocument,
    SkippedFile,
    SolverDocument,
    TableDocument,
)


class Coefficient(CoefficientInference):
    """A coefficient in the units of the data, with its inference."""

    feature: str
    coef: float


class Fit(Document):
    """Statistics of a fit; None where they do not exist."""

    r2: float | None = None
    adj_r2: float | None = None
    sigma: float | None = None
    f: float | None = None
    f_p: float | None = None
    aic: float | None = None
    bic: float | None = None
    n: float | None = None
    df_resid: float | None = None
    condition_number: float | None = None


class CovarianceMatrix(Document):
    """The covariance matrix of a target's coefficients; None for a constant feature."""

    names: list[str]
    matrix: list[list[float | None]]


class TargetDescription(Document):
    """The coefficients of one target, and its fit.

    Attributes:
        inference_reason: why there are no standard errors; None where there are.
        covariance: the kind of standard errors.
        accuracy: why digits may be missing.
        cov_params: where it was asked for and exists.

    """

    target: str
    intercept: float
    intercept_inference: CoefficientInference
    coefficients: list[Coefficient]
    fit: Fit
    inference_reason: str | None = None
    covariance: str | None = None
    accuracy: str | None = None
    cov_params: CovarianceMatrix | None = None


class ModelDescription(TargetDescription):
    """What `show` says of a model: its first target, where it came from, and with several targets each."""

    name: str | None = None
    solver: SolverDocument | None = None
    loss: str | None = None
    penalty: PenaltyDocument | None = None
    tune: Tune | None = None
    rows: RowsDocument | None = None
    missing_values: dict[str, int] | None = None
    metrics: SplitMetrics | None = None
    data: DataDocument | None = None
    versions: dict[str, str] | None = None
    targets: list[TargetDescription] | None = None

    @property
    def each_target(self) -> list[TargetDescription]:
        """The description of each target."""
        return [self] if self.targets is None else self.targets


class ModuleDescription(Document):
    """What `show` says of a module of the user's own, which has no coefficients."""

    name: str | None = None
    module: str
    module_args: dict[str, Any]
    parameters: int
    features: list[str]
    targets: list[str]
    solver: SolverDocument | None = None
    rows: RowsDocument | None = None
    missing_values: dict[str, int] | None = None
    metrics: SplitMetrics | None = None
    data: DataDocument | None = None
    versions: dict[str, str] | None = None


class Evaluation(Document):
    """What `evaluate` measured; ``dropped`` counts rows without a usable target or feature."""

    metrics: Metrics
    rows: int
    dropped: int
    seconds: float


class Prediction(Document):
    """What `predict` wrote."""

    output: str
    files: int
    rows: int
    null_predictions: int
    seconds: float


class Exported(Document):
    """What `export` wrote."""

    format: str
    output: str
    files: int


class ReportWritten(Document):
    """The page that `report` wrote, and the runs on it."""

    report: str
    runs: list[str]


class RowGroupSizes(Document):
    """How large the row groups of a data set are; bytes are uncompressed."""

    count: int
    rows_median: int
    bytes_median: int
    bytes_max: int


class ColumnLayout(Document):
    """How a column is stored; ``nulls`` is None where the files hold no statistics."""

    name: str
    type: str
    use: str
    nulls: int | None
    encodings: list[str]
    codec: list[str]
    num_bytes: int = Field(validation_alias=AliasChoices("bytes", "num_bytes"), serialization_alias="bytes")


class Rewritten(Document):
    """What `inspect --rewrite` wrote."""

    output: str
    files: int
    rows: int
    row_groups: int
    seconds: float


class Inspection(Document):
    """What `inspect` says of Parquet files.

    Attributes:
        num_bytes: their size on disk, ``bytes`` in JSON.
        columns, row_groups: how they are stored.
        advice: what would make them train faster.
        format, version: of a table; its version is None for files.
        tables: every table among the data.
        skipped_columns: columns that would be no features by default, each with the reason.
        skipped_files: entries that look like data and are not read.
        rewritten: what was written, if it was.

    """

    files: int
    rows: int
    num_bytes: int = Field(validation_alias=AliasChoices("bytes", "num_bytes"), serialization_alias="bytes")
    row_groups: RowGroupSizes
    columns: list[ColumnLayout]
    advice: list[str]
    format: str = "parquet"
    version: int | str | None = None
    tables: list[TableDocument] = Field(default_factory=list)
    skipped_columns: dict[str, str] = Field(default_factory=dict)
    skipped_files: list[SkippedFile] = Field(default_factory=list)
    rewritten: Rewritten | None = None


class DataCheck(Document):
    """What the footers say of the data of a spec, and which solver would run."""

    files: int
    row_groups: int
    rows: int
    features: list[str]
    categorical: list[str]
    skipped_columns: dict[str, str]
    solver: str
    tables: list[TableDocument] = Field(default_factory=list)


class DraftedSpec(Document):
    """What `init` drafted.

    Attributes:
        path: the file that was written; None if none was.
        name: of the run.
        targets, features: the columns chosen.
        left_out: the other columns, each with the reason.
        rows, rows_looked_at: of the data, and how many of them were read for the draft.
        spec: the text of the draft.

    """

    path: str | None
    name: str
    targets: list[str]
    features: list[str]
    left_out: dict[str, str]
    rows: int
    rows_looked_at: int
    spec: str


class StatisticsWritten(Document):
    """A statistics file that was written, and its training rows."""

    statistics: str
    rows: int


class JobDocument(Document):
    """How one job of a batch ended.

    Attributes:
        name: the job's name.
        status: succeeded, failed, interrupted or not started.
        ran: False if its run had been finished before, and was taken as it was.
        exit_code: of its process; None if there was none.
        seconds: wall time of its process, start-up included.
        result: what its result.json says; of a failed job at least ``status`` and ``error``.

    """

    name: str
    status: str
    ran: bool
    exit_code: int | None
    seconds: float
    result: ResultDocument | None


class BatchDocument(Document):
    """How a batch ended: how many jobs have each status, and each job."""

    status: str
    counts: dict[str, int]
    jobs: list[JobDocument]


class SubmittedJob(Document):
    """A job on a Ray cluster's job server; times are Unix times in milliseconds, states have Ray's names."""

    job: str
    name: str | None
    state: str
    message: str | None
    start_time: int | None
    end_time: int | None
    exit_code: int | None
    run_folder: str | None


class JobStatus(SubmittedJob):
    """A submitted job with its progress; what is not known is None.

    Attributes:
        progress_percentage: of the whole job.
        estimated_remaining_s: until it ends.
        phase: what it does now, in words; None once it has ended.
        metrics: the line of the last epoch.
        result: of a job that has ended.

    """

    progress_percentage: float | None = Field(
        validation_alias=AliasChoices("progressPercentage", "progress_percentage"),
        serialization_alias="progressPercentage",
    )
    estimated_remaining_s: float | None = Field(
        validation_alias=AliasChoices("estimatedRemainingSeconds", "estimated_remaining_s"),
        serialization_alias="estimatedRemainingSeconds",
    )
    metrics: EpochLine | None
    result: ResultDocument | None
    phase: str | None = None
