"""The files of a run that has succeeded: the model, its card, the page, the result; kept if the storage
refuses them.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from linreg_dist.data.source.manifest import Manifest
from linreg_dist.documents import (
    DataDocument,
    Diagnostics,
    Document,
    Outcome,
    ResultDocument,
    StuckReport,
    Timing,
    UpdateDocument,
)
from linreg_dist.errors import RunFailedError, SpecError, StorageError
from linreg_dist.jobspec import JobSpec
from linreg_dist.model.card import model_card, module_card
from linreg_dist.model.details import model_of
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.model.own_module import ModuleModel
from linreg_dist.run.ending.diagnostics import OF_UPDATE, make_diagnostics
from linreg_dist.run.ending.exports import RunExports, make_exports
from linreg_dist.run.ending.page import RunPage, make_page
from linreg_dist.run.ending.versions import versions_of
from linreg_dist.run.folder import SUCCEEDED, RunFolder
from linreg_dist.run.ours import discard, mark, require_usable
from linreg_dist.storage import TENSORS_BYTES, final_patience, no_patience, read_file, write_whole
from linreg_dist.storage.free_space import describe_room
from linreg_dist.storage.tensors import read_tensors
from linreg_dist.training.diagnostics import Subject
from linreg_dist.training.job import TrainJob


@dataclass(frozen=True)
class Finished:
    """A fitted model and what is said about it, in memory.

    Attributes:
        spec: what was run.
        folder: where it belongs.
        model: the model.
        card: its README.md.
        found: the document of result.json without what it says of the page.
        metrics: the lines of metrics.jsonl, if the worker could not write them.
        diagnostics: what a pass over the rows says of the fit; None where there was none.

    """

    spec: JobSpec
    folder: RunFolder
    model: LinearModel
    card: str
    found: ResultDocument
    metrics: str | None
    diagnostics: Diagnostics | None = None

    @cached_property
    def page(self) -> RunPage:
        """The page; made when it is first asked for."""
        return make_page(self.spec, self.model, self.found, self.folder, self.metrics, self.diagnostics)

    @cached_property
    def exports(self) -> RunExports:
        """The model in the forms of ``outputs.export``; made when they are first asked for."""
        return make_exports(self.spec, self.model)

    @property
    def result(self) -> ResultDocument:
        """The document of result.json."""
        page, timing = self.page, self.found.timing or Timing()
        reason = {} if page.reason is None else {"report_reason": page.reason}
        spent = {"report_s": page.seconds, "total_s": (timing.total_s or 0.0) + page.seconds}
        return self.found.model_copy(
            update={
                "report": None if page.html is None else str(self.folder.report),
                **reason,
                "exports": {
                    name: str(self.folder.exports / place) for name, place in self.exports.places.items()
                },
                "export_reasons": dict(self.exports.reasons),
                "timing": timing.model_copy(update=spent),
            }
        )

    def write(self, folder: RunFolder) -> None:
        """Write all but the result: the model first, so that nothing that befalls the page can cost it."""
        self.model.save(folder.model)
        write_whole(folder.model / "README.md", self.card)
        if self.metrics is not None:
            write_whole(folder.metrics_jsonl, self.metrics)
        if self.diagnostics is None:
            folder.diagnostics.unlink(missing_ok=True)  # of an earlier model
        else:
            write_whole(folder.diagnostics, json.dumps(self.diagnostics.to_json()) + "\n")
        if self.page.html is None:
            folder.report.unlink(missing_ok=True)
        else:
            write_whole(folder.report, self.page.html)
        discard(folder.path, folder.exports.name)  # of an earlier model
        self.exports.write(folder.exports)


@contextmanager
def kept_if_refused(finished: Finished, folder: RunFolder) -> Iterator[None]:
    """Wait longer for the store within the block; if it refuses, keep everything in the current directory.

    Raises:
        StorageError, SpecError: the store's refusal, which now says where the finished run is kept.
        RunFailedError: the same of a disk, which is full for instance.

    """
    try:
        with final_patience():
            yield
    except (StorageError, SpecError, OSError) as error:
        kept = _keep(finished, folder.path.name)
        unwritten = str(error)
        kind: type[Exception] = type(error)
        if isinstance(error, OSError):
            kind = RunFailedError
            unwritten = f"{folder.path} could not be written: {error}; {describe_room(folder.path, error)}"
        raise kind(
            f"{unwritten}\nNothing is lost: the finished model and its result are kept in {kept.path}, in "
            f"the same layout. Copy them to {folder.path}, or run the same command again"
        ) from error


def _keep(finished: Finished, name: str) -> RunFolder:
    for place in (Path.cwd, lambda: Path(tempfile.mkdtemp(prefix="linreg_dist-"))):
        try:
            folder = RunFolder(place() / f"{name}-unsaved")
            require_usable(folder.path)
            mark(folder.path)
            with no_patience():  # the page reads the metrics from the store, which has been waited for
                finished.write(folder)
            folder.finish(finished.result)
        except (OSError, SpecError):  # a directory that is read-only, full, or somebody's: the other may do
            continue
        return folder
    raise SpecError(
        f"the finished model of {name} could be written neither to its storage nor to the current directory "
        "nor to a temporary folder (TMPDIR); make one of them writable, and run the same command again"
    )


def finish_job(
    job: TrainJob, manifest: Manifest, folder: RunFolder, outcome: Outcome, began: float
) -> Finished:
    """Make the model and the result of what the workers found.

    Args:
        job, manifest: what was run, on which data; of an update the manifest of all data.
        folder: where it will be written.
        outcome: of `fit`.
        began: Unix time at which the run began.

    """
    spec, found = job.spec, outcome.found
    if found is None:
        raise RunFailedError("the workers returned neither a model nor an error")
    tables = manifest.table_documents(spec.shown_names())
    versions = versions_of("torch", "ray", "pyarrow", "numpy")
    model = model_of(
        spec,
        found,
        targets=job.columns.targets,
        data=DataDocument(
            path=spec.shown_paths(),
            digest=manifest.digest,
            files=len(manifest.files),
            format=manifest.format,
            version=manifest.version,
            tables=tables,
        ),
        versions=versions,
    )
    if spec.model.module is not None:
        weights = read_tensors(read_file(job.pending_module, TENSORS_BYTES))
        model = ModuleModel.of(model, spec.model.module, spec.model.module_args, weights)
    result = ResultDocument(
        status=SUCCEEDED,
        name=spec.name,
        started_at=datetime.fromtimestamp(began, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        solver=found.solver,
        loss=spec.model.loss,
        penalty=model.details.penalty,
        model=str(folder.model),
        rows=found.rows,
        missing_values=dict(found.missing_values),
        skipped_columns=job.columns.skipped,
        data=DataDocument(
            digest=manifest.digest,
            format=manifest.format,
            version=manifest.version,
            tables=tables,
            files=len(manifest.files),
            row_groups=manifest.count_row_groups(),
            rows=manifest.num_rows,
            row_groups_skipped=manifest.count_row_groups(manifest.ruled_out),
            bytes_read=found.bytes_read,
            skipped_columns=job.columns.skipped,
            skipped_files=list(manifest.skipped),
        ),
        metrics=found.metrics,
        timing=Timing(
            startup_s=outcome.entered - began,
            train_s=outcome.left - outcome.entered,
            read_s=found.read_s,
            fit_s=found.fit_s,
            teardown_s=outcome.teardown_s,
            total_s=time.time() - began,
            rows_per_s=found.rows_per_s,
        ),
        num_workers=outcome.world_size if spec.scaling.max_workers else 0,
        worker_groups=list(outcome.worker_groups),
        workers=list(found.workers) if spec.scaling.max_workers else [],
        stuck=[StuckReport.from_json(report) for report in outcome.stuck],
        versions=versions,
        error=None,
    )
    extra: dict[str, Document] = {} if found.tune is None else {"tune": found.tune}
    if job.update_from is not None:
        extra["update"] = UpdateDocument(
            run=str(job.update_from.parent),
            files=len(job.added.files),
            rows=job.added.num_rows,
            removed_files=len(job.manifest.files) - len(job.added.files),
            removed_rows=job.manifest.num_rows - job.added.num_rows,
        )
    card = module_card(model) if isinstance(model, ModuleModel) else model_card(model)
    result = result.model_copy(update=extra)
    if job.update_from is not None:
        reason = result.model_copy(update={"diagnostics_reason": OF_UPDATE})
        return Finished(spec, folder, model, card, reason, found.unwritten_metrics)
    subject = Subject(manifest, job.columns, spec.data, model, result)
    diagnostics, result = make_diagnostics(spec, subject, result, time.time() - began)
    return Finished(spec, folder, model, card, result, found.unwritten_metrics, diagnostics)
