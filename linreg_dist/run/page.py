"""The page of a finished run: ``report.html``, made of what the run found."""

from __future__ import annotations

import time
from dataclasses import dataclass

from linreg_dist.documents import Diagnostics, ResultDocument
from linreg_dist.errors import LinregDistError
from linreg_dist.jobspec import JobSpec, resolved_yaml
from linreg_dist.model.describe import describe
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.run.folder import RunFolder
from linreg_dist.solvers import SOLVERS
from linreg_dist.storage import read_file
from linreg_dist.wording.secrets import shown
from linreg_dist.wording.streams import get_logger

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


def _metrics_lines(folder: RunFolder) -> str:
    try:
        return read_file(folder.metrics_jsonl).decode()
    except (OSError, LinregDistError) as error:
        logger.warning(
            "the report has no curve of the loss: %s could not be read: %s", folder.metrics_jsonl, error
        )
        return ""
