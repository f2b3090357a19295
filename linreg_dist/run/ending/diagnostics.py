"""The diagnostics of a run, or why it has none: a fault in them costs them and not the run."""

from __future__ import annotations

from linreg_dist.documents import Diagnostics, ResultDocument, Timing
from linreg_dist.errors import RunFailedError
from linreg_dist.jobspec import JobSpec
from linreg_dist.run.watch.interrupts import interruptible
from linreg_dist.run.watch.this_process import watch_this_process
from linreg_dist.storage import no_patience
from linreg_dist.training.beats import describe_stuck
from linreg_dist.training.diagnostics import Subject, diagnose
from linreg_dist.wording.secrets import shown
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

NOT_ASKED = "outputs.report is false"
OF_NO_MEMORY = "scaling.memory_budget is 0, and another look at the rows takes more memory than the fit"
OF_UPDATE = "an update reads only what is new; `train --fresh` looks at all rows"


def make_diagnostics(
    spec: JobSpec, subject: Subject, result: ResultDocument, run_s: float
) -> tuple[Diagnostics | None, ResultDocument]:
    """Look at the rows once more, and return what was found with a result that states what it took.

    Args:
        spec: what ran.
        subject: the fit and its rows.
        result: what was found so far.
        run_s: seconds since the run began.

    """
    if not spec.outputs.report:
        return None, result.model_copy(update={"diagnostics_reason": NOT_ASKED})
    if spec.scaling.memory_budget_bytes == 0:
        return None, result.model_copy(update={"diagnostics_reason": OF_NO_MEMORY})
    try:
        with (
            no_patience(),  # a store that does not answer now has cost the run enough
            interruptible() as interruption,
            watch_this_process(spec.run.stuck_after_s, interruption),
        ):
            found = diagnose(subject, run_s)
    except Exception as error:
        logger.warning("the report has no diagnostics: %s", shown(f"{type(error).__name__}: {error}"))
        logger.debug("the diagnostics could not be made", exc_info=True)
        stuck = error.stuck if isinstance(error, RunFailedError) else []
        # The stacks are in the log.
        text = describe_stuck(stuck[0], with_stack=False) if stuck else f"{type(error).__name__}: {error}"
        reason = shown(text)
        return None, result.model_copy(update={"diagnostics_reason": reason})
    timing = result.timing or Timing()
    spent = {
        "diagnostics_s": found.cost.seconds,
        "total_s": (timing.total_s or 0.0) + found.cost.seconds,
    }
    return found, result.model_copy(
        update={"diagnostics": found.cost, "timing": timing.model_copy(update=spent)}
    )
