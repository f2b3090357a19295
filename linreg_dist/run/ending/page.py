"""The page of a finished run: ``report.html``, made of what the run found."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from linreg_dist.documents import Diagnostics, ResultDocument
from linreg_dist.errors import LinregDistError, SpecError
from linreg_dist.jobspec import JobSpec, resolved_yaml
from linreg_dist.model.describe import describe
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.run.folder import SUCCEEDED, RunFolder
from linreg_dist.run.state import load_model
from linreg_dist.solvers import SOLVERS
from linreg_dist.storage import Location, as_location, read_file
from linreg_dist.storage.retry import one_line
from linreg_dist.wording.json_text import parse_object
from linreg_dist.wording.secrets import shown
from linreg_dist.wording.streams import get_logger

if TYPE_CHECKING:
    from linreg_dist.page import Source

logger = get_logger(__name__)

NOT_ASKED = "outputs.report is false"


@dataclass(frozen=True)
class RunPage:
    """A run's page, or why there is none.

    Attributes:
        html: the document; None where there is none.
        reason: why not; None where there is one.
        seconds: what it took.

    """

    html: str | None
    reason: str | None
    seconds: float


def make_page(
    spec: JobSpec,
    model: LinearModel,
    result: ResultDocument,
    folder: RunFolder,
    unwritten_metrics: str | None,
    diagnostics: Diagnostics | None = None,
) -> RunPage:
    """Return the page of a run; a fault in it costs the page and not the run.

    Args:
        spec, model, result: what ran, and what it found.
        folder: the run's.
        unwritten_metrics: the lines of metrics.jsonl, if they are not there.
        diagnostics: of the fit; None where there are none.

    """
    if not spec.outputs.report:
        return RunPage(None, NOT_ASKED, 0.0)
    began = time.perf_counter()
    try:
        # Here, so that a run without a page, and a worker, do not load what it is made with.
        from linreg_dist.page import Source, build_page, epoch_lines, render_page

        lines = unwritten_metrics
        if lines is None:  # an exact fit has no loss to follow
            lines = (
                ""
                if result.solver and not SOLVERS.is_iterative(result.solver.name)
                else _metrics_lines(folder)
            )
        source = Source(
            result=result,
            description=describe(model),
            model=model,
            epochs=epoch_lines(lines),
            folder=str(folder.path),
            spec_yaml=resolved_yaml(spec, leave_out=("cluster",)),
            diagnostics=diagnostics,
        )
        html = render_page(build_page(source))
    except Exception as error:
        logger.error("%s could not be made; the run goes on without it", folder.report, exc_info=True)
        return RunPage(None, shown(f"{type(error).__name__}: {error}"), time.perf_counter() - began)
    return RunPage(html, None, time.perf_counter() - began)


def kept_source(place: str | Path | Location) -> Source:
    """Return the material of a finished run's page from what is kept in its folder; no data is read.

    Raises:
        SpecError: it is no run's folder, or a file in it is damaged.
        RunFailedError: the run has not succeeded.
        RunInUseError: it is in progress.
        StorageError: an object store does not answer.

    """
    from linreg_dist.page import Source, epoch_lines

    path = as_location(place)
    path = path.absolute() if isinstance(path, Path) else path
    folder = RunFolder(path.parent if path.name == "model" else path)
    model = load_model(folder.path)
    result = folder.result()
    if result is None or result.status != SUCCEEDED:
        raise SpecError(
            f"{place} has a model and no result of a run; expected a run's folder, as runs/<name>"
        )
    return Source(
        result=result,
        description=describe(model),
        model=model,
        epochs=epoch_lines(_text(folder.metrics_jsonl)),
        folder=str(folder.path),
        spec_yaml=_without_cluster(_text(folder.job_yaml)),
        diagnostics=_kept_diagnostics(folder),
    )


def _kept_diagnostics(folder: RunFolder) -> Diagnostics | None:
    text = _text(folder.diagnostics)
    if not text:
        return None
    try:
        return Diagnostics.from_json(parse_object(text.encode()))
    except ValueError as error:
        raise SpecError(
            f"{folder.diagnostics} is damaged: {one_line(error)}. Move it away, and the page is drawn "
            "without residual plots"
        ) from error


def _text(place: Location) -> str:
    """Return the text of a file of a run; empty where there is none."""
    try:
        return read_file(place).decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SpecError(f"{place} cannot be read: {error.strerror or error}") from error


def _without_cluster(job_yaml: str) -> str:
    """Return a job without what it says of the cluster, as the page shows it."""
    try:
        tree = yaml.safe_load(job_yaml)
    except yaml.YAMLError:
        return ""
    if not isinstance(tree, dict):
        return ""
    kept = {key: value for key, value in tree.items() if key != "cluster"}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=100)


def _metrics_lines(folder: RunFolder) -> str:
    try:
        return read_file(folder.metrics_jsonl).decode()
    except (OSError, LinregDistError) as error:
        logger.warning(
            "the report has no curve of the loss: %s could not be read: %s", folder.metrics_jsonl, error
        )
        return ""
