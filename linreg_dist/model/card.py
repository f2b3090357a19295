"""The model card: what a person should know before using the model."""

from __future__ import annotations

from linreg_dist.documents import Metrics
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.model.own_module import ModuleModel
from linreg_dist.wording.text import markdown_code

_SHOWN = 40


def model_card(model: LinearModel) -> str:
    """Return the README.md of a model that a run has made."""
    details = model.details
    versions, solver, rows, metrics = details.versions, details.solver, details.rows, details.metrics
    if versions is None or solver is None or rows is None or metrics is None:
        raise ValueError("a model card needs the details that a run gives its model")
    targets = ", ".join(map(markdown_code, model.targets))
    coefficients = list(zip(model.encoding.names, model.coef_KD[0].tolist(), strict=True))
    lines = [
        "---",
        "library_name: linreg_dist",
        "pipeline_tag: tabular-regression",
        "---",
        "",
        f"# {details.name}",
        "",
        f"A linear regression of {targets}, trained by linreg_dist {versions['linreg_dist']} "
        f"with the {solver.name} solver on {rows.train:,} rows.",
        "",
        "| split | rows | MSE | RMSE | MAE | R² |",
        "|---|---|---|---|---|---|",
    ]
    for split, number, found in (
        ("train", rows.train, metrics.train),
        ("validation", rows.validation, metrics.validation),
    ):
        if found is not None:
            lines.append(f"| {split} | {number:,} | {_cells(found)} |")
    dropped = rows.dropped
    lines += [
        "",
        f"Rows left out: {dropped['filter']:,} by the filter, {dropped['missing']:,} for missing values"
        + (f", {dropped['weight 0']:,} of weight 0." if "weight 0" in dropped else "."),
        "",
        "## Coefficients",
        "",
        "In the units of the data; a categorical column has one coefficient per level against its first "
        "level.",
        "",
        "| feature | coefficient |",
        "|---|---|",
        *(f"| {markdown_code(feature)} | {value:.6g} |" for feature, value in coefficients[:_SHOWN]),
    ]
    if len(coefficients) > _SHOWN:
        lines.append(f"| … {len(coefficients) - _SHOWN} more | in `model.safetensors` |")
    lines += [
        "",
        "## Limits",
        "",
        "It describes the rows it was trained on. It knows no interaction or curve that is not a column, "
        "and outside the range of its training "
        "data it extrapolates without a warning.",
        "",
        "```python",
        "from linreg_dist import LinearModel",
        'LinearModel.load("model").predict(table)',
        "```",
        "",
    ]
    return "\n".join(lines)


def module_card(model: ModuleModel) -> str:
    """Return the README.md of a module of the user's that a run has trained."""
    solver, metrics = model.details.solver, model.details.metrics
    lines = [
        "---",
        "library_name: linreg_dist",
        "pipeline_tag: tabular-regression",
        "---",
        "",
        f"# {model.details.name}",
        "",
        f"The module {markdown_code(model.module)} trained on "
        f"{', '.join(map(markdown_code, model.targets))} by linreg_dist with "
        f"{solver.name if solver else 'an unknown solver'}: {model.num_parameters:,} weights.",
        "",
        "| split | MSE | RMSE | MAE | R² |",
        "|---|---|---|---|---|",
    ]
    for split, found in (
        ("train", metrics and metrics.train),
        ("validation", metrics and metrics.validation),
    ):
        if found:
            lines.append(f"| {split} | {_cells(found)} |")
    lines += [
        "",
        "The folder holds weights and no code: to predict, the class has to be importable, and its code "
        "runs.",
        "",
        "```python",
        "from linreg_dist import LinearModel",
        'LinearModel.load("model", allow_module=True).predict(table)',
        "```",
        "",
    ]
    return "\n".join(lines)


def _cells(metrics: Metrics) -> str:
    return " | ".join(map(_number, (metrics.mse, metrics.rmse, metrics.mae, metrics.r2)))


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.6g}"
