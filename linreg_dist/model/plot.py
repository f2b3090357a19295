"""A plot of a model's coefficients as SVG: no library is needed, and a notebook shows it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from linreg_dist.errors import SpecError
from linreg_dist.wording.numbers import format_number
from linreg_dist.wording.text import safe_name

if TYPE_CHECKING:
    from linreg_dist.model.linear_model import LinearModel

Vector = npt.NDArray[np.float64]

_ROW, _LEFT, _WIDTH, _TOP = 22, 190, 640, 40
_LONGEST = 26


@dataclass(frozen=True)
class Plot:
    """A drawing; a notebook shows it, and `save` writes it.

    Attributes:
        svg: the drawing.
        title: what it shows.

    """

    svg: str
    title: str

    def save(self, path: str | Path) -> None:
        """Write the drawing as an SVG file.

        Raises:
            OSError: it cannot be written.

        """
        Path(path).write_text(self.svg, encoding="utf-8")

    def __repr__(self) -> str:
        return f"<Plot: {self.title}; save(path) writes it as SVG>"

    def _repr_html_(self) -> str:
        return self.svg


def plot_coefficients(model: LinearModel, target: str | None, most: int) -> Plot:
    """Return the coefficients of a target with their 95 % intervals, the largest effects first.

    An effect is a coefficient times the standard deviation of its feature, where that is known: in the units
    of the target, so that features of different units can be compared.

    Raises:
        SpecError: there is no such target.

    """
    name = model.targets[0] if target is None else target
    if name not in model.targets:
        raise SpecError(f"there is no target {name!r}; expected one of {', '.join(model.targets)}")
    coef_D = model.coef_KD[model.targets.index(name)]
    scaling = model.details.scaling
    known = scaling is not None and len(scaling.x_std) == len(coef_D)
    std_D = np.ones(len(coef_D))
    if scaling is not None and known:
        std_D = np.array([1.0 if value is None else value for value in scaling.x_std])
    low_D, high_D = _intervals(model, name)
    effect_D = coef_D * std_D
    order = np.argsort(-np.abs(effect_D), kind="stable")[: max(most, 1)]
    shown = safe_name(name)
    title = f"Effect on {shown} of one standard deviation" if known else f"Coefficients of {shown}"
    rows = [
        (model.encoding.names[i], effect_D[i], low_D[i] * std_D[i], high_D[i] * std_D[i], coef_D[i])
        for i in order
    ]
    left = len(coef_D) - len(rows)
    note = f"{left:,} smaller ones are not drawn" if left else ""
    return Plot(_draw(title, rows, note), title)


def _intervals(model: LinearModel, target: str) -> tuple[Vector, Vector]:
    try:
        both = model.conf_int(target=target)
    except SpecError:  # no standard errors: points alone
        nothing = np.full(model.encoding.num_encoded, np.nan)
        return nothing, nothing
    both = both[1:] if model.details.fit_intercept else both
    return both[:, 0], both[:, 1]


def _draw(title: str, rows: list[tuple[str, float, float, float, float]], note: str) -> str:
    finite = [v for _, effect, low, high, _ in rows for v in (effect, low, high) if np.isfinite(v)]
    least, most = min([0.0, *finite]), max([0.0, *finite])
    span = (most - least) or 1.0

    def x(value: float) -> float:
        return _LEFT + 20 + (_WIDTH - _LEFT - 40) * (value - least) / span

    height = _TOP + _ROW * len(rows) + 36
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{_escaped(title)}" font-family="sans-serif" '
        'font-size="12" fill="currentColor">',
        f"<title>{_escaped(title)}</title>",
        f'<text x="4" y="18" font-weight="bold">{_escaped(title)}</text>',
        f'<line x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="{_TOP - 8}" y2="{_TOP + _ROW * len(rows)}" '
        'stroke="currentColor" stroke-dasharray="3 3" opacity="0.5"/>',
    ]
    for position, (name, effect, low, high, coef) in enumerate(rows):
        y = _TOP + _ROW * position + _ROW / 2
        label = safe_name(name)
        short = label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"
        interval = ""
        if np.isfinite(low) and np.isfinite(high):
            interval = f", 95 % interval {format_number(low, 4)} to {format_number(high, 4)}"
            parts.append(
                f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#0072b2" '
                'stroke-width="2"/>'
            )
        if np.isfinite(effect):
            hint = f"{label}: {format_number(effect)}{interval}; coefficient {format_number(coef)}"
            parts.append(
                f'<circle cx="{x(effect):.1f}" cy="{y:.1f}" r="4" fill="#0072b2"><title>{_escaped(hint)}'
                "</title></circle>"
            )
        parts.append(f'<text x="{_LEFT}" y="{y + 4:.1f}" text-anchor="end">{_escaped(short)}</text>')
    bottom = _TOP + _ROW * len(rows) + 16
    parts += [
        f'<text x="{x(value):.1f}" y="{bottom}" text-anchor="middle">{format_number(value, 3)}</text>'
        for value in sorted({least, 0.0, most})
    ]
    if note:
        parts.append(f'<text x="4" y="{bottom + 14}" opacity="0.7">{_escaped(note)}</text>')
    return "".join([*parts, "</svg>"])


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)
