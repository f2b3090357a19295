"""The sections of the job spec, one class each.

The field descriptions are the reference: the JSON Schema, the editor's hover text and the documentation are
made from them. Every class is frozen and refuses unknown keys. Checks between fields stand in `checks`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, StrictStr, StringConstraints

from linreg_dist.jobspec.fields import (
    LARGEST_INT,
    AutoOrBool,
    AutoOrCount,
    AutoOrPositive,
    ByteSize,
    Count,
    NotNegative,
    NumWorkers,
    OneOf,
    PathText,
    Positive,
    Seconds,
    Section,
    Seed,
    parse_byte_size,
)
from linreg_dist.jobspec.solver_names import SolverName

MODULE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$"
"""A class in an importable package: ``package.Class``."""


class ModelSpec(Section):
    """What is minimised: ``1/(2·Σw) · Σ w·loss(y − xᵀβ − b) + l1·‖β‖₁ + (l2/2)·‖β‖₂²``, `b` unpenalised."""

    loss: Literal["squared", "huber"] = Field(
        default="squared", description="squared, or huber (linear in the tails, so that outliers pull less)."
    )
    huber_epsilon: Annotated[float, Field(strict=True, ge=1, allow_inf_nan=False)] = Field(
        default=1.35,
        description="Where huber turns linear, in units of the residuals' scale (their median absolute value "
        "/ 0.6745, measured before each epoch), at least 1; used by loss huber.",
    )
    fit_intercept: StrictBool = Field(
        default=True, description="Whether to fit an intercept, which is never penalised."
    )
    standardize: AutoOrBool = Field(
        default="auto",
        description="Whether to divide features by their standard deviation while fitting, which is the "
        "scale the penalty acts on; auto: when penalised or iterative. Coefficients are "
        "always reported on the original scale.",
    )
    l1: NotNegative = Field(
        default=0.0, description="Weight of the sum of absolute coefficients (lasso), at least 0."
    )
    l2: NotNegative = Field(
        default=0.0,
        description="Weight of half the sum of squared coefficients (ridge), at least 0; Ridge's alpha "
        "is n·l2.",
    )
    covariance: Literal["nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster"] = Field(
        default="nonrobust",
        description="Standard errors: nonrobust; HC0 to HC3 (right under unequal variances); cluster "
        "(right under correlation within data.cluster). All but nonrobust read the data a "
        "second time.",
    )
    module: Annotated[StrictStr, StringConstraints(pattern=MODULE_PATTERN)] | None = Field(
        default=None,
        description="A torch.nn.Module of your own in place of the linear model, as package.Class: its "
        "code is imported and run on every worker. For sgd, adam, adamw and rmsprop.",
    )
    module_args: dict[StrictStr, Any] = Field(
        default={},
        description="Keyword arguments of the module's class, plain values; in_features and out_features are "
        "given to it where it takes them.",
    )


class EarlyStopSpec(Section):
    """When to stop before the last epoch; watched is the validation loss, or without it the training loss."""

    patience: Count = Field(
        default=3, description="Epochs in a row without enough progress after which training stops."
    )
    min_rel_progress: NotNegative = Field(
        default=1.0e-4, description="Relative fall of the loss that counts as progress, at least 0."
    )


class SolverSpec(Section):
    """How the minimum is found."""

    name: SolverName = Field(
        default="auto",
        description="exact (one pass, closed form or coordinate descent), sgd, adam, adamw, rmsprop or "
        "lbfgs; auto: exact for squared loss with up to 4,096 columns after encoding, else "
        "lbfgs.",
    )
    epochs: Count = Field(
        default=10,
        description="Passes over the training rows, at most; lbfgs: steps of up to 20 iterations each. "
        "Unused by exact.",
    )
    learning_rate: AutoOrPositive = Field(
        default="auto",
        description="Step size of the first step, above 0; auto chooses by solver. Unused by exact and "
        "lbfgs.",
    )
    schedule: Literal["constant", "inverse_scaling", "cosine"] = Field(
        default="constant",
        description="How the learning rate falls: constant; inverse_scaling (with the root of the steps "
        "taken); cosine (to zero at the last epoch).",
    )
    momentum: Annotated[float, Field(strict=True, ge=0, lt=1)] = Field(
        default=0.0, description="Momentum of sgd and rmsprop, at least 0 and below 1."
    )
    global_batch_size: AutoOrCount = Field(
        default="auto",
        description="Rows per optimizer step over ALL workers; auto measures step and synchronisation, "
        "picks a size where communication is under 10 % of a step, and reports it.",
    )
    sync_every: Count = Field(
        default=1,
        description="Optimizer steps between synchronisations: 1 averages gradients each step, k lets "
        "workers take k steps alone and averages their weights (local SGD).",
    )
    shuffle: StrictBool = Field(
        default=True, description="Whether each epoch visits the rows in another seeded order."
    )
    early_stop: EarlyStopSpec | None = Field(
        default=EarlyStopSpec(), description="When to stop before the last epoch; null never does."
    )
    seed: Seed = Field(default=0, description="Seed of shuffling and of the first weights.")


class TuneSpec(Section):
    """Penalties to choose from by cross-validation, all in one pass (squared loss, exact solver)."""

    l2: Annotated[tuple[NotNegative, ...], Field(min_length=1)] = Field(
        description="Penalty strengths to try, each at least 0; a strength s means model.l1 = s·l1_ratio "
        "and model.l2 = s·(1 − l1_ratio)."
    )
    l1_ratio: Annotated[tuple[Annotated[float, Field(strict=True, ge=0, le=1)], ...], Field(min_length=1)] = (
        Field((0.0,), description="Shares of the strength to give to l1, each from 0 (ridge) to 1 (lasso).")
    )
    folds: Annotated[StrictInt, Field(ge=2, le=1000)] = Field(
        default=5, description="Number of cross-validation folds, 2 to 1,000."
    )


class ScalingSpec(Section):
    """How much machine the job gets; the numbers go to Ray unchanged and do not change the answer."""

    num_workers: NumWorkers = Field(
        default=0,
        description="0 runs in this process with all its cores; n runs n Ray workers (one per node is "
        "best, each uses all its CPUs); [min, max] is elastic.",
    )
    use_gpu: AutoOrBool = Field(
        default=False,
        description="Whether each worker trains on a GPU. auto, with num_workers 0: whether a GPU of this "
        "machine is measured to be faster; the result says why. An exact fit of few columns is summed on the "
        "cores in any case, which is faster.",
    )
    resources_per_worker: dict[StrictStr, Positive] = Field(
        default_factory=lambda: {"CPU": 1.0},
        description="Ray resources per worker, above 0, for example {CPU: 8, GPU: 1}.",
    )
    virtual_shards: AutoOrCount = Field(
        default="auto",
        description="Streams of row groups that each global batch draws from; the answer is the same for any "
        "number of workers up to this. auto: 12, or fewer where the row groups are few or large.",
    )
    memory_budget: ByteSize = Field(
        default="auto",
        description="RAM per worker for decoded blocks kept between epochs: bytes, or a text such as "
        "4GiB; 0 keeps none; auto takes a share of what is free.",
    )
    disk_budget: ByteSize = Field(
        default="auto",
        description="Local disk per node for decoded blocks that memory_budget has no room for, removed "
        "when the run has succeeded: bytes, or a text such as 100GiB; 0 writes none; auto takes half of "
        "what is free where TMPDIR points.",
    )

    elastic_resize_monitor_interval_s: Seconds = Field(
        default=60.0,
        description="Seconds between looks whether an elastic job could have more workers, above 0; a "
        "change restarts the workers from the last checkpoint.",
    )

    @property
    def max_workers(self) -> int:
        """The largest number of workers asked for; 0 means in this process."""
        return self.num_workers[1] if isinstance(self.num_workers, tuple) else self.num_workers

    @property
    def asks_for_gpu(self) -> bool:
        """Whether each worker must have a GPU."""
        return self.use_gpu is True

    @property
    def gpus_per_worker(self) -> float:
        """GPUs that each worker asks for; less than one where workers share one."""
        return self.resources_per_worker.get("GPU", 1.0) if self.asks_for_gpu else 0.0

    @property
    def min_workers(self) -> int:
        """The smallest number of workers asked for; 0 means in this process."""
        return self.num_workers[0] if isinstance(self.num_workers, tuple) else self.num_workers

    @property
    def memory_budget_bytes(self) -> int | None:
        """`memory_budget` in bytes; None means auto."""
        if self.memory_budget == "auto":
            return None
        return parse_byte_size(str(self.memory_budget))

    @property
    def disk_budget_bytes(self) -> int | None:
        """`disk_budget` in bytes; None means auto."""
        if self.disk_budget == "auto":
            return None
        return parse_byte_size(str(self.disk_budget))


class RunSpec(Section):
    """Where the run lives and how it survives."""

    storage_path: PathText = Field(
        default="runs",
        description="Folder or URI (s3://bucket/path) under which the run's own folder <storage_path>/<name> "
        "is made; relative to the current directory, not to this file. On a cluster every node must reach "
        "it.",
    )
    checkpoint_every_s: Seconds = Field(default=30.0, description="Seconds between checkpoints, above 0.")
    num_to_keep: Count = Field(default=2, description="Newest checkpoints to keep, at least 1.")
    max_failures: Annotated[StrictInt, Field(ge=-1, le=LARGEST_INT)] = Field(
        default=3, description="Worker or node losses to survive before the run fails; -1 is no limit."
    )
    stuck_after_s: Seconds | None = Field(
        default=105.0,
        description="Seconds without progress after which a worker is stuck: it is named with its node and "
        "stack, ended, and retried as a lost one; in local mode the run fails so. It must be longer than the "
        "slowest row group takes to read; waiting for other workers and computing do not count. null watches "
        "nothing.",
    )
    timeout_s: Seconds | None = Field(
        default=None, description="Seconds after which the run is stopped and fails; null is no limit."
    )
    wait_for_nodes_s: Seconds | None = Field(
        default=300.0,
        description="Seconds to wait for other nodes when some were lost and the cluster is too small for "
        "the job; null is no limit. A cluster that is only busy is waited for in any case.",
    )


class ClusterSpec(Section):
    """Which Ray cluster to use."""

    address: Annotated[StrictStr, Field(min_length=1)] | None = Field(
        default=None,
        description="Ray address: auto, host:port, ray://host:port, or http://host:8265 for submit; null "
        "starts a local Ray where one is needed.",
    )
    runtime_env: dict[str, Any] = Field(
        default_factory=dict, repr=False, description="Ray's runtime_env, handed to Ray unchanged."
    )
    env: dict[StrictStr, StrictStr] = Field(
        default_factory=dict,
        repr=False,
        description='Environment variables for the workers; take secrets from yours, KEY: "${KEY}", and '
        "they are never written to a file.",
    )


def _export_formats() -> Iterable[str]:
    """Return the names of the forms that a model can be saved in; found by the name of their module, which
    imports the spec. Nothing heavy is loaded by that.
    """
    formats: Iterable[str] = importlib.import_module("linreg_dist.export").FORMATS
    return formats


class OutputsSpec(Section):
    """What a run writes beside the model and its result."""

    report: StrictBool = Field(
        default=True,
        description="Whether to write report.html: the run on one page, with coefficients, quality, rows and "
        "plots.",
    )
    export: tuple[Annotated[str, OneOf(_export_formats)], ...] = Field(
        default=(),
        description="Further forms to save the model in, below export/: onnx, sklearn, sql, mlflow. Each "
        "needs its extra of linreg-dist.",
    )


class MlflowSpec(Section):
    """Where to log to MLflow."""

    uri: Annotated[StrictStr, Field(min_length=1)] | None = Field(
        default=None, description="MLflow tracking URI; null is MLflow's default (MLFLOW_TRACKING_URI)."
    )
    experiment: Annotated[StrictStr, Field(min_length=1)] | None = Field(
        default=None, description="Name of the MLflow experiment; null takes MLflow's own default."
    )


class OpenLineageSpec(Section):
    """Where OpenLineage events go."""

    url: Annotated[StrictStr, Field(pattern=r"^https?://", min_length=1)] | None = Field(
        default=None,
        description="URL of the lineage server, http://marquez:5000; null leaves it to the environment, "
        "OPENLINEAGE_URL and its kin.",
    )


class TrackingSpec(Section):
    """Which experiment trackers to tell."""

    mlflow: MlflowSpec | None = Field(default=None, description="Log the run to MLflow; null does not.")
    tensorboard: StrictBool = Field(
        default=False,
        description="Whether to write TensorBoard event files into the run's folder tensorboard/.",
    )
    openlineage: OpenLineageSpec | None = Field(
        default=None,
        description="Send OpenLineage events: what was read, the model, and where each coefficient came "
        "from; null does not.",
    )
    required: StrictBool = Field(
        default=False,
        description="Whether a tracker that cannot be reached before training fails the run; else it is a "
        "warning, as it always is later on.",
    )
