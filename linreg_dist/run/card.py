"""The model card: what a person should know before using the model."""

from __future__ import annotations

from typing import Any

from linreg_dist.wording.text import markdown_code

_SHOWN = 40


def model_card(name: str, config: dict[str, Any], coefficients: list[tuple[str, float]]) -> str:
    """Return the model's README.md.

    Args:
        name: the run's name.
        config: the details stored in config.json.
        coefficients: (encoded feature, coefficient) of the first target, intercept left out.

    """
    targets = ", ".join(map(markdown_code, config["targets"]))
    lines = [
        "---",
        "library_name: linreg_dist",
        "pipeline_tag: tabular-regression",
        "---",
        "",
        f"# {name}",
        "",
        f"A linear regression of {targets}, trained by linreg_dist {config['versions']['linreg_dist']} "
        f"with the {config['solver']['name']} solver on {config['rows']['train']:,} rows.",
        "",
        "| split | rows | MSE | RMSE | MAE | R² |",
        "|---|---|---|---|---|---|",
    ]
    for split in ("train", "validation"):
        metrics = config["metrics"][split]
        if metrics is not None:
            cells = " | ".join(_number(metrics[key]) for key in ("mse", "rmse", "mae", "r2"))
            lines.append(f"| {split} | {config['rows'][split]:,} | {cells} |")
    dropped = config["rows"]["dropped"]
    lines += [
        "",
        f"Rows left out: {dropped['filter']:,} by the filter, {dropped['missing']:,} for missing values.",
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


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.6g}"
