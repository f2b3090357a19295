"""The course of the fit on the page: the loss of every epoch, and the cross-validation of penalties."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

from linreg_dist.documents import EpochLine, Tune, TunePoint
from linreg_dist.page.plots import Curve, Curves
from linreg_dist.page.source import Source
from linreg_dist.page.view import Figure, Paragraph, Section, Table, section
from linreg_dist.wording.numbers import align_decimals, format_count, format_number

T = TypeVar("T")

_MOST_POINTS = 200  # of a curve: more are no wider than a pixel
_LOG_ABOVE = 3.0  # a loss that falls by more than this factor hides its end on a linear scale
_BAND_HEIGHTS = 8.0  # standard errors above the best that the curve of penalties shows at least
_Y_LABEL = "mean squared error"
_LOSSES = {"train_mse": "training", "validation_mse": "validation"}
_OBJECTIVES = {"loss": "training", "validation_loss": "validation"}


def training_section(source: Source) -> Section | None:
    """Return the loss per epoch of an iterative solver, and what its ``auto`` settings stood for."""
    if not source.is_iterative:
        return None
    solver = source.solver
    settings = {
        "epochs": solver.epochs,
        "learning rate": solver.learning_rate,
        "rows per step, over all workers": solver.global_batch_size,
        "steps per epoch": solver.steps_per_epoch,
        "evaluations of the objective": solver.evaluations,
    }
    known = {
        title: format_number(value, 4) if isinstance(value, float) else format_count(value)
        for title, value in settings.items()
        if value is not None
    }
    averaged = "The coefficients are the mean of those of the last epoch's steps."
    return section(
        "Training",
        [
            Paragraph(f"Training ended ({solver.stopped})."),
            Paragraph(averaged) if solver.averaged_over_last_epoch else None,
            *_loss_figures(source),
            Table("Settings", ("setting", "value"), tuple(known.items())),
        ],
    )


def _loss_figures(source: Source) -> list[Figure]:
    """Return the objective against time where the solver knows it, and the mean squared error."""
    epochs = source.epochs
    if len(epochs) < 2:
        return []
    is_huber = source.model.details.loss == "huber"
    errors = (
        "Mean squared error of every epoch{scale}, in squared units of the target. Huber's loss does not "
        "make it small: it may rise while the fit gets better."
        if is_huber
        else "Mean squared error of every epoch{scale}, in squared units of the target."
    )
    table = _epoch_table(epochs)
    figures = [_curve_figure("loss", source, _LOSSES, (_Y_LABEL, errors, "Loss"), table)]
    if any(line.loss is not None for line in epochs) and (is_huber or _is_penalised(source)):
        what = "Huber's loss" if is_huber else "half the mean squared error"
        penalty = " with the penalty" if _is_penalised(source) else ""
        caption = f"What is minimised: {what}{penalty}, after every epoch{{scale}}."
        standardised = source.solver.standardize is not False
        caption += (
            " Features and target are divided by their standard deviations."
            if standardised
            else " In squared units of the target."
        )
        if is_huber:
            caption += " Each epoch measures it by the scale of the residuals that it began with."
        named = (f"objective{' (standardised)' * standardised}", caption, "Objective")
        figures.insert(0, _curve_figure("objective", source, _OBJECTIVES, named, None))
    return [figure for figure in figures if figure is not None]


def _is_penalised(source: Source) -> bool:
    penalty = source.description.penalty
    return penalty is not None and bool(penalty.l1 or penalty.l2)


def _curve_figure(
    name: str,
    source: Source,
    keys: Mapping[str, str],
    texts: tuple[str, str, str],
    table: Table | None,
) -> Figure | None:
    """Return fields of the epoch lines against the time spent, or against epochs where that is not known."""
    y_label, caption, told_as = texts
    times = _times(source.epochs)
    curves = []
    for key, label in keys.items():
        points = [
            (time, value)
            for time, line in zip(times, source.epochs, strict=True)
            if (value := getattr(line, key)) is not None and math.isfinite(value)
        ]
        if points:
            x, y = zip(*_thinned(points), strict=True)
            curves.append(Curve(label, x, y))
    if not curves:
        return None
    values = [y for curve in curves for y in curve.y]
    log_y = min(values) > 0 and max(values) > _LOG_ABOVE * min(values)
    told = "; ".join(
        f"{curve.label} from {format_number(curve.y[0], 4)} to {format_number(curve.y[-1], 4)}"
        for curve in curves
    )
    timed = _is_timed(source.epochs)
    return Figure(
        name,
        Curves(
            tuple(curves),
            "seconds of training" if timed else "epoch",
            y_label,
            whole_x=not timed,
            log_y=log_y,
        ),
        caption.format(scale=", on a logarithmic scale" if log_y else ""),
        f"{told_as} over {len(source.epochs)} epochs: {told}.",
        table,
    )


def _is_timed(epochs: Sequence[EpochLine]) -> bool:
    return all(line.seconds is not None and line.seconds > 0 for line in epochs)


def _times(epochs: Sequence[EpochLine]) -> list[float]:
    """Return the seconds spent until the end of each epoch, over all attempts; else the epochs' numbers."""
    if not _is_timed(epochs):
        return [line.epoch + 1.0 for line in epochs]
    return list(accumulate(line.seconds or 0.0 for line in epochs))


def _epoch_table(epochs: Sequence[EpochLine]) -> Table:
    shown = [line for _, line in _thinned(list(enumerate(epochs)))]
    columns = {
        "epoch": [str(line.epoch + 1) for line in shown],
        "seconds": align_decimals([format_number(line.seconds, 3) for line in shown]),
        "training MSE": align_decimals([format_number(line.train_mse) for line in shown]),
    }
    if any(line.validation_mse is not None for line in shown):
        columns["held-out MSE"] = align_decimals([format_number(line.validation_mse) for line in shown])
    if any(line.loss is not None for line in shown):
        columns["objective"] = align_decimals([format_number(line.loss) for line in shown])
    if any(line.validation_loss is not None for line in shown):
        columns["held-out objective"] = align_decimals(
            [format_number(line.validation_loss) for line in shown]
        )
    return Table("Every epoch", tuple(columns), tuple(zip(*columns.values(), strict=True)))


def loss_points(source: Source) -> list[tuple[float, float]]:
    """Return (seconds of training, mean squared error) after every epoch, of held-out rows if there are
    any.
    """
    held_out = any(line.validation_mse is not None for line in source.epochs)
    times = _times(source.epochs) if source.is_iterative and _is_timed(source.epochs) else []
    points = []
    for time, line in zip(times, source.epochs, strict=False):
        value = line.validation_mse if held_out else line.train_mse
        if value is not None and math.isfinite(value):
            points.append((time, value))
    return list(_thinned(points))


def _thinned(points: Sequence[T]) -> Sequence[T]:
    """Return at most `_MOST_POINTS` points, evenly spread, with the first and the last."""
    if len(points) <= _MOST_POINTS:
        return points
    step = (len(points) - 1) / (_MOST_POINTS - 1)
    return [points[round(i * step)] for i in range(_MOST_POINTS)]


def tuning_section(source: Source) -> Section | None:
    """Return the cross-validation curve with the choice that it led to."""
    tune = source.result.tune
    if tune is None:
        return None
    points = tune.points
    best, chosen = points[tune.best], points[tune.one_std_err]
    rows = {"the least error": best, "chosen": chosen}
    columns = [
        [f"{point.l1:g}" for point in rows.values()],
        [f"{point.l2:g}" for point in rows.values()],
        [format_number(point.mse) for point in rows.values()],
        [format_number(point.std_err, 4) for point in rows.values()],
    ]
    table = Table(
        "The penalty with the least error, and the one that was taken",
        ("penalty", "l1", "l2", "MSE", "std err"),
        tuple(zip(rows, *(align_decimals(column) for column in columns), strict=True)),
    )
    text = (
        f"{len(points):,} penalties were compared by {tune.folds}-fold cross-validation on the training "
        "rows. The model has the largest penalty, of the best one's ratio of l1 to l2, whose error is within "
        "one standard error of the least: the simplest model that cannot be told from the best."
    )
    return section("Choice of the penalty", [Paragraph(text), _tuning_figure(tune), table])


def _tuning_figure(tune: Tune) -> Figure | None:
    points = tune.points
    best, chosen = points[tune.best], points[tune.one_std_err]
    strengths = sorted({_strength(point) for point in points})
    if len(strengths) < 2:
        return None
    place = _places(strengths)
    groups: dict[str, list[TunePoint]] = {}
    for point in points:
        groups.setdefault(_ratio(point), []).append(point)
    # Without any penalty there is no ratio: such a point is the end of every curve.
    free = groups.pop("", [])
    first = _ratio(chosen) or _ratio(best) or next(iter(groups))
    curves = []
    for ratio in sorted(groups, key=lambda ratio: (ratio != first, float(ratio))):
        line = sorted([*free[:1], *groups[ratio]], key=_strength)
        curves.append(
            Curve(
                f"l1_ratio {ratio}",
                tuple(place[_strength(point)] for point in line),
                tuple(point.mse for point in line),
                tuple(point.std_err for point in line) if ratio == first else (),
            )
        )
    limit = best.mse + best.std_err
    near = sorted(curves[0].y)[:3][-1]
    highest = max(point.mse + point.std_err for point in points)
    top = min(highest, max(near, chosen.mse) + _BAND_HEIGHTS * best.std_err)
    cut = " Penalties with a larger error lie above the frame." if top < highest else ""
    return Figure(
        "tuning",
        Curves(
            tuple(curves),
            "penalty (l1 + l2)",
            _Y_LABEL,
            x_ticks=tuple((place[strength], f"{strength:g}") for strength in strengths),
            top=None if top >= highest else top,
            band=(best.mse, limit, "within one standard error"),
            mark=(place[_strength(chosen)], "chosen"),
        ),
        "Cross-validated mean squared error of every penalty, in squared units of the target; the bars are "
        f"one standard error, the band reaches from the least error to one standard error above it.{cut}",
        f"Cross-validation curve of {len(points)} penalties: the least error is "
        f"{format_number(best.mse, 4)} at a penalty of {_strength(best):g}; chosen was "
        f"{_strength(chosen):g} with an error of {format_number(chosen.mse, 4)}.",
    )


def _strength(point: TunePoint) -> float:
    return float(f"{point.l1 + point.l2:.12g}")


def _ratio(point: TunePoint) -> str:
    strength = point.l1 + point.l2
    return format(point.l1 / strength, ".3g") if strength > 0 else ""


def _places(strengths: Sequence[float]) -> dict[float, float]:
    """Return the position of each strength on a logarithmic axis; zero is one step before the smallest."""
    logs = {strength: math.log10(strength) for strength in strengths if strength > 0}
    steps = [b - a for a, b in zip(list(logs.values()), list(logs.values())[1:], strict=False)]
    before = min(logs.values()) - (sum(steps) / len(steps) if steps else 1.0)
    return {strength: logs.get(strength, before) for strength in strengths}
