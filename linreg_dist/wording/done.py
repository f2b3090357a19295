"""The deeds of a run as labelled lines: loss, penalty, steps, what was left out, seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from linreg_dist.documents import (
    DataDocument,
    ModelDescription,
    PenaltyDocument,
    RowsDocument,
    SkippedFile,
    SolverDocument,
    Timing,
    Tune,
)
from linreg_dist.wording.numbers import format_count, format_duration, format_number
from linreg_dist.wording.results import listed, solver_text

Line = tuple[str, str]

_RULES = {"one standard error": "the largest within one standard error of the best"}
_MOST_NAMES = 6


def fit_lines(model: ModelDescription) -> Iterator[Line]:
    """Yield how a model was fitted, and on which rows."""
    solver, rows = model.solver, model.rows
    if solver:
        yield "solver", f"{solver_text(solver)}, {solver.stopped or ''}".rstrip(", ")
        if solver.fallback:
            yield "instead of", solver.fallback
    yield from device_lines(solver)
    yield from loss_lines(model.loss, solver, [each.target for each in model.each_target])
    yield from penalty_lines(model.penalty, model.tune)
    yield from steps_lines(solver)
    if rows:
        yield "rows", f"{format_count(rows.train)} train, {format_count(rows.validation)} validation"
    yield from left_out_lines(rows, model.data)


def device_lines(solver: SolverDocument | None) -> Iterator[Line]:
    """Yield where a fit was computed and why, where that was chosen."""
    if solver and solver.device_reason:
        yield "device", f"{'the cores' if solver.device == 'cpu' else 'the GPU'}: {solver.device_reason}"


def aliased_lines(solver: SolverDocument | None) -> Iterator[Line]:
    """Yield the columns that have no coefficient of their own: linear functions of others, and constants."""
    if solver and solver.collinear_columns:
        yield "collinear", listed(solver.collinear_columns)
    if solver and solver.constant_columns:
        yield "constant", listed(solver.constant_columns)


def loss_lines(loss: str | None, solver: SolverDocument | None, targets: Sequence[str]) -> Iterator[Line]:
    """Yield the loss where it is not squared, with the scale of the residuals that it was measured in."""
    if loss in (None, "squared"):
        return
    scales = (solver.huber_scale if solver else None) or []
    if len(scales) > 1 and len(scales) == len(targets):
        pairs = zip(targets, scales, strict=True)
        each = ", ".join(f"{name} {format_number(scale)}" for name, scale in pairs)
        yield "loss", f"{loss}, scale of the residuals: {each}"
    elif scales:
        yield "loss", f"{loss}, scale of the residuals {', '.join(map(format_number, scales))}"
    else:
        yield "loss", str(loss)


def penalty_lines(penalty: PenaltyDocument | None, tune: Tune | None) -> Iterator[Line]:
    """Yield the penalty and, where cross-validation chose it, by which rule and with what error."""
    chosen = (tune.chosen if tune else None) or penalty
    if chosen is None or not (chosen.l1 or chosen.l2 or tune):
        return
    text = f"l1 {chosen.l1:g}, l2 {chosen.l2:g}"
    if tune is None:
        yield "penalty", text
        return
    rule = _RULES.get(chosen.rule or "", chosen.rule or "cross-validation")
    at = [point for point in tune.points if (point.l1, point.l2) == (chosen.l1, chosen.l2)]
    error = f"; MSE {format_number(at[0].mse)} ± {format_number(at[0].std_err, 4)}" if at else ""
    best = tune.points[tune.best] if 0 <= tune.best < len(tune.points) else None
    if best is not None and at and best is not at[0]:
        error += f", the least is {format_number(best.mse)}"
    how = f"chosen of {format_count(len(tune.points))} by {tune.folds}-fold cross-validation"
    yield "penalty", f"{text}, {how}: {rule}{error}"


def steps_lines(solver: SolverDocument | None) -> Iterator[Line]:
    """Yield what the spec, or `auto`, made of the steps of an iterative solver."""
    if solver is None:
        return
    parts = []
    if solver.learning_rate is not None:
        parts.append(f"learning rate {format_number(solver.learning_rate)}")
    if solver.global_batch_size is not None:
        parts.append(f"{format_count(solver.global_batch_size)} rows a step")
    if solver.steps_per_epoch is not None:
        parts.append(f"{format_count(solver.steps_per_epoch)} steps an epoch")
    if solver.averaged_over_last_epoch:
        parts.append("mean of the last epoch's iterates")
    if solver.evaluations is not None:
        parts.append(f"{format_count(solver.evaluations)} passes over the rows")
    if parts and solver.standardize is not None:
        parts.append("features standardised" if solver.standardize else "features not standardised")
    if parts:
        yield "steps", ", ".join(parts)


def dropped_text(rows: RowsDocument) -> str:
    """Return ``9,430 rows (missing: 9,430)``."""
    by_rule = ", ".join(f"{rule}: {format_count(count)}" for rule, count in rows.dropped.items() if count)
    return f"{format_count(rows.num_dropped)} rows" + (f" ({by_rule})" if by_rule else "")


def left_out_lines(
    rows: RowsDocument | None, data: DataDocument | None, columns: Mapping[str, str] | None = None
) -> Iterator[Line]:
    """Yield what was not used: rows by rule, row groups, columns and files with the reason."""
    if rows and rows.dropped:
        yield "dropped", dropped_text(rows)
    if data and data.row_groups_skipped:
        yield "filter", f"{format_count(data.row_groups_skipped)} row groups ruled out by their statistics"
    skipped = columns or (data.skipped_columns if data else {})
    if skipped:
        yield "left out", _some([f"{name} ({reason})" for name, reason in skipped.items()], "columns")
    if data and data.skipped_files:
        yield "not read", _some([_file(each) for each in data.skipped_files], "files")


def time_lines(timing: Timing | None) -> Iterator[Line]:
    """Yield all seconds of a run, and its speed."""
    if timing is None:
        return
    within = [("reading", timing.read_s), ("solving", timing.fit_s)]
    inner = ", ".join(f"{title} {format_duration(spent)}" for title, spent in within if spent is not None)
    spans = []
    for title, seconds in (
        ("start-up", timing.startup_s),
        ("training", timing.train_s),
        ("teardown", timing.teardown_s),
        ("report", timing.report_s),
    ):
        if seconds is not None:
            more = f" ({inner})" if title == "training" and inner else ""
            spans.append(f"{title} {format_duration(seconds)}{more}")
    if timing.total_s is not None:
        spans.append(f"{format_duration(timing.total_s)} in all")
    if spans:
        yield "time", ", ".join(spans)


def _file(skipped: SkippedFile) -> str:
    return f"{skipped.path} ({skipped.reason})"


def _some(items: Sequence[str], noun: str) -> str:
    shown = "; ".join(items[:_MOST_NAMES])
    rest = len(items) - _MOST_NAMES
    return shown + (f"; and {format_count(rest)} more {noun}" if rest > 0 else "")
