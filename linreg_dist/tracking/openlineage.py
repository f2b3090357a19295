"""OpenLineage events of a run, sent by ``openlineage-python`` (the extra ``openlineage``).

Where they go is said by ``tracking.openlineage.url``, or by that library's own variables (OPENLINEAGE_URL,
OPENLINEAGE_API_KEY, OPENLINEAGE_CONFIG, OPENLINEAGE__TRANSPORT__…).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self

from linreg_dist._version import __version__
from linreg_dist.documents import ResultDocument
from linreg_dist.jobspec import JobSpec
from linreg_dist.tracking.lineage import Input, Lineage, Place, SourceColumn, lineage_of, run_id
from linreg_dist.tracking.tracker import TrackedRun, Tracker

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

    from linreg_dist.model.linear_model import LinearModel

PRODUCER = f"urn:linreg-dist:{__version__}"
DEFAULT_NAMESPACE = "linreg_dist"
_RUN_FACET_SCHEMA = "urn:linreg-dist:openlineage-run-facet:1"
_VARIABLES = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
_VARIABLE_PREFIX = "OPENLINEAGE__TRANSPORT__"
_TIMEOUT_S = 5.0
_RETRIES = 1
_MOST_COEFFICIENTS = 2000  # of a wider model each would be named with its columns, in megabytes


class LineageError(Exception):
    """An event could not be sent."""


class OpenLineage(Tracker):
    """The events START and COMPLETE, FAIL or ABORT of a run, sent to a lineage server."""

    name: ClassVar[str] = "openlineage"
    needs: ClassVar[tuple[str, ...]] = ("openlineage",)

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._run: TrackedRun | None = None
        self._identity = ""

    @classmethod
    def asked(cls, spec: JobSpec) -> Self | None:
        """Return it where ``tracking.openlineage`` is set, and its url or the environment says where to."""
        asked = spec.tracking.openlineage
        return None if asked is None or not is_configured(asked.url) else cls(asked.url)

    def start(self, run: TrackedRun) -> None:
        """Send START, with the data that will be read."""
        self._run = run
        self._identity = run_id(str(run.folder), datetime.now(UTC).isoformat())
        columns = [SourceColumn(name) for name in run.features]
        self._send(lineage_of(run.spec, self._identity, columns=columns))

    def finish(self, result: ResultDocument, model: LinearModel | None) -> None:
        """Send how it ended, with the model and where its coefficients came from."""
        if self._run is None:
            return
        columns = [SourceColumn(name) for name in self._run.features]
        if model is not None:
            columns = [
                SourceColumn(column.name, column.kind, tuple(column.encoded_names))
                for column in model.encoding.columns
            ]
        self._send(lineage_of(self._run.spec, self._identity, result, columns))

    def _send(self, lineage: Lineage) -> None:
        send(run_event(lineage, parent=os.environ.get("OPENLINEAGE_PARENT_ID")), self._url)


def is_configured(url: str | None, environ: Mapping[str, str] | None = None) -> bool:
    """Return whether anything says where events go."""
    environ = os.environ if environ is None else environ
    if environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    return bool(
        url
        or any(environ.get(name) for name in _VARIABLES)
        or any(name.startswith(_VARIABLE_PREFIX) for name in environ)
    )


def send(event: RunEvent, url: str | None) -> None:
    """Send an event, within seconds.

    Args:
        event: from `run_event`.
        url: of the server; None leaves it to the environment.

    Raises:
        LineageError: it did not arrive.

    """
    from openlineage.client import OpenLineageClient

    config: dict[str, Any] | None = None
    if url is not None:
        transport: dict[str, Any] = {
            "type": "http",
            "url": url,
            "timeout": _TIMEOUT_S,
            "retry": {"total": _RETRIES, "connect": _RETRIES, "read": _RETRIES},
        }
        if "OPENLINEAGE_API_KEY" in os.environ:
            transport["auth"] = {"type": "api_key", "apiKey": os.environ["OPENLINEAGE_API_KEY"]}
        config = {"transport": transport}
    try:
        client = OpenLineageClient(config=config)
        client.emit(event)
        client.close()
    except Exception as error:  # whatever a transport raises
        raise LineageError(f"{type(error).__name__}: {error}") from error


def run_event(lineage: Lineage, *, parent: str | None = None) -> RunEvent:
    """Return the event that says what `lineage` says.

    Args:
        lineage: from `linreg_dist.tracking.lineage`.
        parent: ``namespace/job/run id`` of the task that started the run, as orchestrators give it in
            OPENLINEAGE_PARENT_ID.

    """
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.facet_v2 import job_type_job

    ended = lineage.result is not None
    return RunEvent(
        eventTime=datetime.now(UTC).isoformat(),
        eventType=RunState[lineage.state],
        producer=PRODUCER,
        run=Run(runId=lineage.run_id, facets=_run_facets(lineage, parent)),
        job=Job(
            namespace=os.environ.get("OPENLINEAGE_NAMESPACE", DEFAULT_NAMESPACE),
            name=lineage.job,
            facets={
                "jobType": job_type_job.JobTypeJobFacet(
                    processingType="BATCH", integration="LINREG_DIST", jobType="TRAINING", producer=PRODUCER
                )
            },
        ),
        inputs=[_input(lineage, each) for each in lineage.inputs],
        outputs=[_model(lineage, lineage.model)] if ended and lineage.model is not None else [],
    )


def _run_facets(lineage: Lineage, parent: str | None) -> dict[str, Any]:
    from openlineage.client.facet_v2 import error_message_run, parent_run, processing_engine_run

    facets: dict[str, Any] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=__version__, name="linreg_dist", producer=PRODUCER
        )
    }
    # A job's name may have slashes in it, a namespace and a UUID have none.
    namespace, _, rest = (parent or "").partition("/")
    job, _, identity = rest.rpartition("/")
    if namespace and job and identity:
        facets["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=identity),
            job=parent_run.Job(namespace=namespace, name=job),
            producer=PRODUCER,
        )
    result = lineage.result
    if result is not None:
        if result.error is not None:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=result.error.message, programmingLanguage="PYTHON", producer=PRODUCER
            )
        document = result.to_json()
        kept = ("status", "solver", "rows", "metrics", "timing", "num_workers", "report")
        facets["linregDist"] = _result_facet()(
            result={key: document[key] for key in kept if document.get(key) is not None}, producer=PRODUCER
        )
    return facets


@cache
def _result_facet() -> Any:
    """Return the class of our own facet: what result.json says beside what other facets say."""
    import attr
    from openlineage.client.generated.base import RunFacet

    @attr.define
    class ResultRunFacet(RunFacet):
        result: dict[str, Any]

        @staticmethod
        def _get_schema() -> str:
            return _RUN_FACET_SCHEMA

    return ResultRunFacet


def _input(lineage: Lineage, found: Input) -> Any:
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import (
        data_quality_metrics_input_dataset,
        dataset_version_dataset,
        schema_dataset,
    )

    kinds = {column.name: column.kind for column in lineage.columns}
    names = dict.fromkeys([*kinds, *lineage.targets, *lineage.used_for_rows])
    facets: dict[str, Any] = {
        "schema": schema_dataset.SchemaDatasetFacet(
            fields=[
                schema_dataset.SchemaDatasetFacetFields(name=name, type=kinds.get(name)) for name in names
            ],
            producer=PRODUCER,
        )
    }
    if found.version is not None:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(
            datasetVersion=found.version, producer=PRODUCER
        )
    quality: dict[str, Any] = {}
    result = lineage.result
    if (
        result is not None and result.rows is not None and len(lineage.inputs) == 1
    ):  # counts are of all inputs
        missing = result.missing_values or {}
        quality["dataQualityMetrics"] = (
            data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
                rowCount=result.rows.num_read,
                bytes=result.data.bytes_read if result.data else None,
                fileCount=result.data.files if result.data else None,
                columnMetrics={
                    name: data_quality_metrics_input_dataset.ColumnMetrics(nullCount=count)
                    for name, count in missing.items()
                },
                producer=PRODUCER,
            )
        )
    return InputDataset(found.place.namespace, found.place.name, facets=facets, inputFacets=quality)


def _model(lineage: Lineage, place: Place) -> Any:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import (
        column_lineage_dataset,
        dataset_version_dataset,
        output_statistics_output_dataset,
        schema_dataset,
    )

    coefficients = lineage.coefficients()

    def sources(columns: Mapping[str, tuple[str, str]]) -> list[Any]:
        return [
            column_lineage_dataset.InputField(
                namespace=each.place.namespace,
                name=each.place.name,
                field=column,
                transformations=[column_lineage_dataset.Transformation(type=kind, subtype=subtype)],
            )
            for each in lineage.inputs
            if each.role == "train"
            for column, (kind, subtype) in columns.items()
        ]

    facets: dict[str, Any] = {
        "version": dataset_version_dataset.DatasetVersionDatasetFacet(
            datasetVersion=lineage.run_id, producer=PRODUCER
        )
    }
    if len(coefficients) <= _MOST_COEFFICIENTS:
        facets["schema"] = schema_dataset.SchemaDatasetFacet(
            fields=[
                schema_dataset.SchemaDatasetFacetFields(name=name, type="double") for name in coefficients
            ],
            producer=PRODUCER,
        )
        indirect = {column: ("INDIRECT", subtype) for column, subtype in lineage.used_for_rows.items()}
        facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(
            fields={
                name: column_lineage_dataset.Fields(
                    inputFields=sources(dict.fromkeys(columns, ("DIRECT", "AGGREGATION")))
                )
                for name, columns in coefficients.items()
            },
            dataset=sources(indirect),
            producer=PRODUCER,
        )
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=len(coefficients), producer=PRODUCER
    )
    return OutputDataset(
        place.namespace, place.name, facets=facets, outputFacets={"outputStatistics": statistics}
    )
