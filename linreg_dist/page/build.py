"""The page of a run: its head, what to take note of, and the order of its sections."""

from __future__ import annotations

from collections.abc import Iterator

from linreg_dist.page.coefficients import coefficient_sections
from linreg_dist.page.diagnostics.errors import error_sections
from linreg_dist.page.diagnostics.features import feature_section
from linreg_dist.page.diagnostics.residuals import residual_sections
from linreg_dist.page.fitting import training_section, tuning_section
from linreg_dist.page.provenance import job_section, origin_section, time_section
from linreg_dist.page.quality import quality_section, rows_section
from linreg_dist.page.source import Source, shorten, some, without_options
from linreg_dist.page.view import Items, Page, Section, Tile, section
from linreg_dist.wording.numbers import format_count, format_duration, format_number, format_rate
from linreg_dist.wording.results import solver_text

_MANY_DROPPED = 0.1  # of the rows read, above which it is worth a note at the top


def build_page(source: Source) -> Page:
    """Return the content of a run's page."""
    sections = (
        _notes(source),
        quality_section(source),
        *coefficient_sections(source),
        *residual_sections(source),
        *error_sections(source),
        feature_section(source),
        tuning_section(source),
        training_section(source),
        rows_section(source),
        time_section(source),
        origin_section(source),
        job_section(source),
    )
    return Page(
        title=shorten(str(source.result.name)),
        lead=tuple(_lead(source)),
        sections=tuple(found for found in sections if found is not None),
        tiles=tuple(_tiles(source)),
    )


def _tiles(source: Source) -> Iterator[Tile]:
    """Yield the numbers to see first."""
    found = source.metrics.validation or source.metrics.train
    where = "of rows held out" if source.metrics.validation else "of training rows"
    several = len(source.targets) > 1
    if found is not None:
        if found.r2 is not None:
            yield Tile("R²", format_number(found.r2, 4), f"{where}{', mean of targets' * several}")
        if not several:
            yield Tile("RMSE", format_number(found.rmse, 4), _against_baseline(source))
            if found.mae is not None:
                yield Tile(
                    "MAE",
                    format_number(found.mae, 4),
                    f"{where}, in units of {shorten(source.targets[0], 20)}",
                )
    yield Tile(
        "Training rows",
        format_count(source.rows.train),
        f"and {format_count(source.rows.validation)} held out",
    )
    yield Tile(
        "Coefficients" if source.model.is_linear else "Weights",
        format_count(source.model.num_parameters),
        f"of {len(source.model.encoding.columns):,} features",
    )
    yield Tile("Time", format_duration(source.timing.total_s or 0.0), _rate(source))


def _against_baseline(source: Source) -> str:
    if source.diagnostics is None or not source.diagnostics.targets:
        return ""
    target = source.diagnostics.targets[0]
    return f"predicting the mean: {format_number(target.baseline_rmse, 4)}"


def _rate(source: Source) -> str:
    return format_rate(source.timing.rows_per_s) if source.timing.rows_per_s else ""


def _lead(source: Source) -> Iterator[str]:
    result, model = source.result, source.model
    used = len(model.encoding.columns)
    made = f" ({model.encoding.num_encoded:,} columns after encoding)" * (model.encoding.num_encoded != used)
    what = "A linear regression" if model.is_linear else "A module of your own, trained to be a regression"
    yield (
        f"{what} of {some(source.targets)} on {used:,} {'feature' if used == 1 else 'features'}"
        f"{made}, fitted to {format_count(source.rows.train)} rows."
    )
    solver = source.solver
    ran = f" The run began on {(result.started_at or '?').replace('T', ' ').removesuffix('Z')} UTC"
    ran += f" and took {format_duration(source.timing.total_s or 0.0)}."
    yield f"Solver: {solver_text(solver)}; {without_options(solver.stopped or 'no more is known')}.{ran}"
    penalty = source.description.penalty
    if penalty is not None and (penalty.l1 or penalty.l2):
        yield f"Penalty: l1 {penalty.l1:g}, l2 {penalty.l2:g}."
    if (loss := model.details.loss) == "huber":
        scales = solver.huber_scale or []
        known = f", with a residual scale of {', '.join(f'{scale:.4g}' for scale in scales)}" * bool(scales)
        yield f"Loss: {loss}, quadratic for small residuals and linear for large ones{known}."


def _notes(source: Source) -> Section | None:
    return section("Worth knowing", [Items(notes) if (notes := tuple(_warnings(source))) else None])


def _warnings(source: Source) -> Iterator[str]:
    """Yield what a reader should know before the numbers."""
    result, solver, rows = source.result, source.solver, source.rows
    if solver.accuracy:
        yield f"The coefficients were solved from sums alone and may lack digits: {solver.accuracy}."
    if collinear := solver.collinear_columns:
        yield (
            "These columns are linear combinations of others, so that their coefficients cannot be told "
            f"apart: {some([f'{name} (with {some(list(with_), 5)})' for name, with_ in collinear.items()])}."
        )
    if constant := solver.constant_columns:
        yield f"These columns are constant on the training rows and explain nothing: {some(constant)}."
    if skipped := result.skipped_columns:
        yield (
            "These columns of the data are no features: "
            f"{some([f'{name} ({reason})' for name, reason in skipped.items()])}."
        )
    dropped, read = rows.num_dropped, rows.num_read
    if read and dropped / read > _MANY_DROPPED:
        yield f"{dropped / read:.0%} of the rows that were read ({dropped:,} of {read:,}) took no part."
    if not rows.validation:
        yield "No rows were held out, so nothing here says how the model does on rows it has not seen."
    if update := result.update:
        yield (
            f"{update.rows:,} rows of {update.files:,} new files were added to the statistics of "
            f"{without_options(update.run)}; the earlier rows were not read again."
        )
    if len(groups := result.worker_groups) > 1:
        yield f"The workers were started {len(groups)} times, with {', '.join(map(str, groups))} workers."
    for report in result.stuck:
        doing = shorten(without_options(report.doing), 200)
        yield (
            f"Worker {report.rank} of {report.world_size} was stuck: {report.how}; it was at: "
            f"{doing}. result.json has what more is known."
        )
