"""Plots whose names stand below each other: effects, a matrix, lengths of time."""

from __future__ import annotations

from linreg_dist.page.plots import Effect, Forest, Matrix, Side, Spans
from linreg_dist.page.svg.canvas import FONT, Canvas, Svg, cut, text_width
from linreg_dist.page.svg.frame import WIDTH, Key, Room, draw_frame, legend_height, marks
from linreg_dist.page.svg.scale import Scale, scale_around, tick_text
from linreg_dist.wording.numbers import format_duration, format_number

_ROW = 18.0
_MOST_LABEL = 150.0
_SHADES = 9


def draw_forest(plot: Forest) -> Svg:
    """Return effects below each other, each with its interval."""
    labels = [cut(effect.label, _MOST_LABEL) for effect in plot.effects]
    texts = [effect.text or format_number(effect.value, 3) for effect in plot.effects]
    left = 10 + max(map(text_width, labels))
    right = WIDTH - 10 - max(map(text_width, texts))
    bottom = 6 + _ROW * len(plot.effects)
    canvas = Canvas(WIDTH, bottom + 40)
    x = _forest_scale(plot, left, right)
    inside = Room(left, 6, right, bottom)
    draw_frame(canvas, inside, x, Scale(0, 1, bottom, 6), (plot.x_label, ""), (), marks(x, 6))
    canvas.line(x(0), 6, x(0), bottom, "z")
    for number, effect in enumerate(plot.effects):
        y = 6 + _ROW * (number + 0.5)
        canvas.text(left - 8, y + FONT * 0.35, labels[number], anchor="end", tip=effect.label)
        canvas.text(right + 8, y + FONT * 0.35, texts[number])
        _draw_effect(canvas, plot, effect, x, y)
        canvas.box(left, y - _ROW / 2, right - left, _ROW, "h", _effect_tip(effect))
    return canvas.svg()


def _draw_effect(canvas: Canvas, plot: Forest, effect: Effect, x: Scale, y: float) -> None:
    if plot.reach is not None and abs(effect.value) > plot.reach:
        sign = 1 if effect.value > 0 else -1
        end = x.stop if sign > 0 else x.start
        canvas.line(x(0), y, end - sign * 6, y, "a")
        canvas.area([(end, y), (end - sign * 8, y - 4.5), (end - sign * 8, y + 4.5)], "fa")
        return
    if effect.low is not None and effect.high is not None:
        canvas.line(x.clipped(effect.low), y, x.clipped(effect.high), y, "a")
    canvas.dot(x(effect.value), y, 3.2, "pa")


def _forest_scale(plot: Forest, left: float, right: float) -> Scale:
    bounds = [0.0]
    for effect in plot.effects:
        bounds += [value for value in (effect.low, effect.value, effect.high) if value is not None]
    if plot.reach is None:
        return scale_around(bounds, left, right)
    edge = 1.03 * plot.reach
    low, high = max(-edge, 1.1 * min(bounds)), min(edge, 1.1 * max(bounds))
    return Scale(low - 0.03 * edge, high + 0.03 * edge, left, right)


def _effect_tip(effect: Effect) -> str:
    tip = f"{effect.label}: {format_number(effect.value, 4)}"
    if effect.low is not None and effect.high is not None:
        tip += f" ({format_number(effect.low, 4)} to {format_number(effect.high, 4)})"
    return tip if effect.text is None else f"{tip}; {effect.text}"


def draw_side(plot: Side) -> Svg:
    """Return effects of several runs below each other, each run in its colour."""
    keys = [Key(name, f"p{number}") for number, name in enumerate(plot.names)]
    labels = [cut(label, _MOST_LABEL) for label, _ in plot.rows]
    step = 7.0
    tall = step * len(plot.names) + 8
    left, top = 10 + max(map(text_width, labels)), legend_height(keys, "")
    bottom = top + tall * len(plot.rows)
    canvas = Canvas(WIDTH, bottom + 40)
    bounds = [0.0]
    for _, effects in plot.rows:
        bounds += [value for effect in effects if effect for value in effect if value is not None]
    x = scale_around(bounds, left, WIDTH - 10)
    inside = Room(left, top, WIDTH - 10, bottom)
    draw_frame(canvas, inside, x, Scale(0, 1, bottom, top), (plot.x_label, ""), keys, marks(x, 6))
    canvas.line(x(0), top, x(0), bottom, "z")
    for number, (label, effects) in enumerate(plot.rows):
        y = top + tall * number
        canvas.line(0, y, WIDTH - 10, y, "g")
        canvas.text(left - 8, y + tall / 2 + FONT * 0.35, labels[number], anchor="end", tip=label)
        for run, effect in enumerate(effects):
            if effect is None:
                continue
            at = y + 4 + step * (run + 0.5)
            value, low, high = effect
            if low is not None and high is not None:
                canvas.line(x(low), at, x(high), at, f"l{run}")
            tip = f"{plot.names[run]}, {label}: {format_number(value, 4)}"
            canvas.dot(x(value), at, 3, f"p{run}", tip)
    return canvas.svg()


def draw_matrix(plot: Matrix) -> Svg:
    """Return the lower half of a matrix as shades, one colour for each sign."""
    count = len(plot.names)
    labels = [cut(name, 110) for name in plot.names]
    left = 6 + max(text_width(label) for label in labels[1:])
    size = min(34.0, (WIDTH - left - 30) / max(count - 1, 1))
    top = 18.0
    bottom = top + size * (count - 1)
    canvas = Canvas(WIDTH, bottom + 26)
    for i in range(1, count):
        y = top + size * (i - 1)
        if size >= 11 or i % 2 == 1:
            canvas.text(left - 6, y + size / 2 + FONT * 0.35, labels[i], anchor="end", tip=plot.names[i])
        for j in range(i):
            value = plot.values[i][j]
            shade = min(_SHADES, int(abs(value) * _SHADES + 0.5))
            kind = f"{'d' if value >= 0 else 'e'}{shade}"
            tip = f"{plot.names[i]} and {plot.names[j]}: {value:.2f}"
            canvas.box(left + size * j, y, size - 1, size - 1, kind, tip)
            if size >= 30:
                canvas.text(
                    left + size * (j + 0.5) - 0.5, y + size / 2 + 4, f"{value:.2f}", "c", anchor="middle"
                )
        # On the diagonal, where a matrix is one, the name of the column below.
        label = cut(plot.names[i - 1], WIDTH - left - size * (i - 1) - 4)
        if size >= 12:
            canvas.text(left + size * (i - 1) + 2, y - min(size / 2 - FONT * 0.35, 5), label, "m")
    _draw_shades(canvas, left, bottom)
    return canvas.svg()


def _draw_shades(canvas: Canvas, left: float, bottom: float) -> None:
    width = 11.0
    at = max(0.0, min(left, WIDTH - 2 * _SHADES * width - 60))
    canvas.text(at, bottom + 18, "-1", "m")
    at += 16
    for number in range(-_SHADES, _SHADES + 1):
        kind = f"{'e' if number < 0 else 'd'}{abs(number)}"
        canvas.box(at, bottom + 9, width - 2, 9, kind)
        at += width - 1
    canvas.text(at + 4, bottom + 18, "1", "m")


def draw_spans(plot: Spans) -> Svg:
    """Return lengths of time below each other, each made of parts."""
    labels = [cut(label, _MOST_LABEL) for label, _ in plot.rows]
    keys = [Key(part, f"q{number}", is_area=True) for number, part in enumerate(plot.parts)]
    texts = [format_duration(sum(lengths)) for _, lengths in plot.rows]
    left = 10 + max(map(text_width, labels))
    top = legend_height(keys, "") if keys else 6.0
    right = WIDTH - 10 - max(map(text_width, texts))
    bottom = top + _ROW * len(plot.rows)
    canvas = Canvas(WIDTH, bottom + 40)
    x = Scale(0.0, max(max(sum(lengths) for _, lengths in plot.rows), 1e-9), left, right)
    ticks = [(tick, tick_text(tick)) for tick in x.ticks(6)]
    draw_frame(
        canvas, Room(left, top, right, bottom), x, Scale(0, 1, bottom, top), (plot.x_label, ""), keys, ticks
    )
    for number, (label, lengths) in enumerate(plot.rows):
        y = top + _ROW * number
        canvas.text(left - 8, y + _ROW / 2 + FONT * 0.35, labels[number], anchor="end", tip=label)
        start = 0.0
        for part, length in enumerate(lengths):
            tip = f"{label}, {plot.parts[part]}: {length:.2f} s"
            canvas.box(x(start), y + 3, x(start + length) - x(start), _ROW - 6, f"q{part}", tip)
            start += length
        canvas.text(x(start) + 6, y + _ROW / 2 + FONT * 0.35, texts[number])
    return canvas.svg()
