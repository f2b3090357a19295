"""The tracker of MLflow: an MLflow run with the spec, the metrics, the digest of the data and the model.

It asks MLflow's client, and changes nothing of what ``mlflow`` itself has active in the process.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from linreg_dist._version import __version__
from linreg_dist.documents import EpochLine, ResultDocument
from linreg_dist.errors import LinregDistError
from linreg_dist.export import FORMATS
from linreg_dist.jobspec import JobSpec, resolved_data
from linreg_dist.storage import read_file
from linreg_dist.tracking.tracker import OF_EPOCH, TrackedRun, Tracker
from linreg_dist.wording.secrets import shown

if TYPE_CHECKING:
    from linreg_dist.model.linear_model import LinearModel

_SECTIONS = ("data", "model", "solver", "tune", "scaling")
_FILES = ("result.json", "job.yaml", "report.html")
_STATUS = {"succeeded": "FINISHED", "interrupted": "KILLED"}
_LONGEST_PARAM = 6000
_LONGEST_DIGEST = 36
_MOST_PARAMS = 100  # of one request
# MLflow tries for minutes to reach a server that is down; whoever wants that sets the variables.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


class Mlflow(Tracker):
    """An MLflow run.

    Args:
        uri: of the tracking server or store; None is MLflow's default (MLFLOW_TRACKING_URI).
        experiment: its name, made if need be; None is MLflow's default (MLFLOW_EXPERIMENT_NAME).

    """

    name: ClassVar[str] = "mlflow"
    needs: ClassVar[tuple[str, ...]] = ("mlflow",)

    def __init__(self, uri: str | None = None, experiment: str | None = None) -> None:
        self._uri, self._experiment = uri, experiment
        self._client: Any = None
        self._run: TrackedRun | None = None
        self._epochs = 0
        self.run_id: str | None = None

    @classmethod
    def asked(cls, spec: JobSpec) -> Self | None:
        """Return it where the spec has ``tracking.mlflow``."""
        asked = spec.tracking.mlflow
        return None if asked is None else cls(asked.uri, asked.experiment)

    def start(self, run: TrackedRun) -> None:
        """Make the MLflow run, with the spec as parameters and the data as its input."""
        with _patience():
            from mlflow import MlflowClient
            from mlflow.entities import Dataset, DatasetInput, InputTag, Param

            self._run = run
            self._client = MlflowClient(tracking_uri=self._uri)
            tags = {
                "mlflow.source.name": "linreg-dist",
                "linreg_dist.version": __version__,
                "linreg_dist.run": str(run.folder),
                "linreg_dist.data_digest": run.data_digest,
            }
            made = self._client.create_run(self._experiment_id(), run_name=run.spec.name, tags=tags)
            self.run_id = made.info.run_id
            params = [Param(key, value) for key, value in _params(run.spec).items()]
            for first in range(0, len(params), _MOST_PARAMS):
                self._client.log_batch(self.run_id, params=params[first : first + _MOST_PARAMS])
            data = Dataset(
                name=run.spec.name,
                digest=run.data_digest[:_LONGEST_DIGEST],
                source_type="linreg_dist",
                source=json.dumps({"path": run.spec.shown_paths()}),
                schema=json.dumps({"features": list(run.features), "targets": list(run.targets)}),
                profile=json.dumps({"num_rows": run.rows}),
            )
            used = DatasetInput(dataset=data, tags=[InputTag(key="mlflow.data.context", value="training")])
            self._client.log_inputs(self.run_id, datasets=[used])

    def epoch(self, line: EpochLine) -> None:
        """Log the figures of an epoch at its number."""
        self._epochs = line.epoch + 1
        self._log({name: getattr(line, name) for name in OF_EPOCH}, line.epoch)

    def finish(self, result: ResultDocument, model: LinearModel | None) -> None:
        """Log the metrics of the model, its files and the model itself, and end the MLflow run."""
        figures: dict[str, float | None] = {}
        for split in ("train", "validation"):
            found = getattr(result.metrics, split) if result.metrics else None
            for name in ("mse", "rmse", "mae", "r2"):
                figures[f"{split}_{name}"] = getattr(found, name) if found is not None else None
        self._log(figures, self._epochs)
        with _patience():
            if result.solver is not None:
                self._client.set_tag(self.run_id, "linreg_dist.solver", result.solver.name)
            if result.error is not None:
                self._client.set_tag(self.run_id, "linreg_dist.error", shown(result.error.message)[:5000])
            try:
                self._log_files(model)
            finally:
                self._client.set_terminated(self.run_id, _STATUS.get(result.status, "FAILED"))

    def _log(self, figures: Mapping[str, float | None], step: int) -> None:
        with _patience():
            from mlflow.entities import Metric

            now = int(time.time() * 1000)
            metrics = [Metric(key, value, now, step) for key, value in figures.items() if value is not None]
            if metrics:
                self._client.log_batch(self.run_id, metrics=metrics)

    def _log_files(self, model: LinearModel | None) -> None:
        if self._run is None:
            return
        with tempfile.TemporaryDirectory(prefix="linreg_dist-") as scratch:
            for name in _FILES:
                try:
                    content = read_file(self._run.folder / name)
                except (OSError, LinregDistError):  # a run without a report, or one that failed early
                    continue
                (Path(scratch) / name).write_bytes(content)
            self._client.log_artifacts(self.run_id, scratch)
        if model is None or not model.is_linear or FORMATS["mlflow"].missing_modules():
            return
        with tempfile.TemporaryDirectory(prefix="linreg_dist-") as scratch:
            for path, content in FORMATS["mlflow"].files(model).items():
                (Path(scratch) / path).parent.mkdir(parents=True, exist_ok=True)
                (Path(scratch) / path).write_bytes(content)
            self._client.log_artifacts(self.run_id, scratch, "model")

    def _experiment_id(self) -> str:
        name = self._experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        if name is None:
            return os.environ.get("MLFLOW_EXPERIMENT_ID", "0")
        found = self._client.get_experiment_by_name(name)
        return str(self._client.create_experiment(name) if found is None else found.experiment_id)


def _params(spec: JobSpec) -> dict[str, str]:
    """Return the fields that decide about the model as ``section.field``; no secret is in them."""
    resolved = resolved_data(spec)
    found = {}
    for section in _SECTIONS:
        for field, value in (resolved.get(section) or {}).items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            found[f"{section}.{field}"] = str(text)[:_LONGEST_PARAM]
    return found


@contextmanager
def _patience() -> Iterator[None]:
    """Let requests to MLflow fail within seconds, and its warnings be its own."""
    ours = {key: value for key, value in _PATIENCE.items() if key not in os.environ}
    os.environ.update(ours)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for key in ours:
            os.environ.pop(key, None)
