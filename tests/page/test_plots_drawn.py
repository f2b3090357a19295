"""Drawings: whole, the same every time, with nothing that acts beyond them, and saying their numbers."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.page.plots import (
    Bars,
    Curve,
    Curves,
    Density,
    Effect,
    Forest,
    Matrix,
    Panel,
    Panels,
    Plot,
    Points,
    Spans,
)
from linreg_dist.page.svg import draw
from linreg_dist.page.svg.canvas import cut, text_width
from linreg_dist.page.svg.scale import Scale, log_ticks, nice_ticks, scale_around, tick_text

EFFECTS = (
    Effect("far", 40.0, 39.0, 41.0),
    Effect("near <b>", -1.0, -2.0, 0.5),
    Effect("no interval", 0.5, None, None, text="7 rows"),
)
LINE = Curve("l1_ratio 0", (0.0, 1.0, 2.0), (5.0, 4.0, 6.0), (1.0, 1.0, 1.0))
DENSITY = Density(
    (0.0, 1.0, 2.0),
    (-1.0, 0.0, 1.0),
    ((1.0, 0.0), (100.0, 3.0)),
    "fitted",
    "residual",
    "zero",
    "no error",
    (None, (-0.5, 0.0, 0.4)),
    "median",
    ("tip & one", "tip two"),
)
PANEL = Panel("x & y", (0.0, 1.0), (0.1, -0.1), (0.0, -9.0), (0.2, 9.0), (0.9, 0.1), ("a", "b"))
PLOTS: list[Plot] = [
    Forest(EFFECTS, "change"),
    Forest(EFFECTS, "change", reach=2.5),
    Forest(EFFECTS[:1], "change"),
    Curves((Curve("training", (1, 2), (3.0, 3.0)),), "epoch", "loss"),
    Curves((Curve("training", (1, 2), (3e9, 1e-9)),), "epoch", "loss", log_y=True),
    Curves(tuple(replace(LINE, label=str(i)) for i in range(30)), "x", "y", band=(4.0, 5.0, "band")),
    Curves(
        (LINE,), "x", "y", x_ticks=tuple((i / 10, str(i)) for i in range(30)), mark=(1.0, "this"), top=5.0
    ),
    DENSITY,
    replace(DENSITY, line="diagonal"),
    replace(DENSITY, counts=((0.0, 0.0), (0.0, 0.0)), middles=(), tips=()),
    Bars((0.0, 1.0, 2.0), (3.0, 0.0), "x", "rows", ((0.5, 2.0), (1.5, 4.0)), "rows", "normal", ("a", "<b>")),
    Bars((0.0, 1.0), (0.0,), "x", "rows"),
    Points(((0.0, 0.0, "a"), (1.0, 2.0, "b")), "x", "y", (0.0, 1.0), "line", frozenset({1}), "p", "m"),
    Points(((3.0, 3.0, "alone"),), "x", "y"),
    Panels((PANEL, replace(PANEL, title="m" * 80)), -1.0, 1.0),
    Matrix(("a", "b", "c"), ((1.0, 0.5, -1.0), (0.5, 1.0, 0.0), (-1.0, 0.0, 1.0))),
    Spans((("worker 0", (1.0, 2.0)), ("worker 1", (0.5, 0.0))), ("read", "fit"), "seconds"),
]


@pytest.mark.parametrize("plot", PLOTS)
def test_a_drawing_keeps_nothing_that_acts_beyond_it(plot: Plot) -> None:
    drawings = draw(plot)
    assert drawings == draw(plot)
    for svg in drawings:
        for forbidden in ("http", "xmlns", "<style", "<!", "style=", "nan", "inf", " id=", "url("):
            assert forbidden not in svg.body
        ElementTree.fromstring(f"<svg>{svg.body}</svg>")  # noqa: S314 (our own)


@pytest.mark.parametrize("plot", PLOTS)
def test_what_is_drawn_lies_within_the_frame(plot: Plot) -> None:
    for svg in draw(plot):
        root = ElementTree.fromstring(f"<svg>{svg.body}</svg>")  # noqa: S314 (our own)
        for element in root.iter():
            if element.tag == "text":
                assert 0 <= float(element.attrib["x"]) <= svg.width
                assert 0 < float(element.attrib["y"]) <= svg.height
            if element.tag == "path" and "h" not in element.attrib["d"]:
                numbers = [float(found) for found in re.findall(r"-?[\d.]+", element.attrib["d"])]
                assert all(-1 <= x <= svg.width + 1 for x in numbers[::2])
                assert all(-1 <= y <= svg.height + 1 for y in numbers[1::2])


def test_names_from_the_data_are_text() -> None:
    (forest,) = draw(Forest(EFFECTS, "<i>"))
    assert "near &lt;b&gt;" in forest.body
    assert "<b>" not in forest.body
    assert "tip &amp; one" in draw(DENSITY)[0].body


def test_a_curve_says_its_numbers_at_every_point() -> None:
    (svg,) = draw(Curves((Curve("training", (1, 2), (3.25, 2.125)),), "epoch", "loss"))
    tips = re.findall(r"<title>(.*?)</title>", svg.body, re.DOTALL)
    assert tips == ["epoch 1\ntraining: 3.2500", "epoch 2\ntraining: 2.1250"]


def test_the_legend_stands_above_the_frame() -> None:
    plot = Curves((Curve("training", (1, 2), (3, 2)), Curve("validation", (1, 2), (4, 3))), "epoch", "loss")
    root = ElementTree.fromstring(f"<svg>{draw(plot)[0].body}</svg>")  # noqa: S314 (our own)
    names = [float(e.attrib["y"]) for e in root.iter("text") if e.text in ("training", "validation")]
    lines = [e.attrib["d"] for e in root.iter("path") if e.attrib["class"] in ("a", "b")]
    tops = [float(y) for d in lines if d.count("L") == 1 for y in re.findall(r" (-?[\d.]+)", d)]
    assert len(names) == 2
    drawn = sorted(tops)[len(names) * 2 :]  # below the legend's own swatches
    assert max(names) < min(drawn)


finite = st.floats(-1e12, 1e12).filter(lambda value: value == 0 or abs(value) > 1e-9)


@given(finite, finite, st.integers(2, 10))
def test_marks_are_round_few_and_inside(a: float, b: float, most: int) -> None:
    low, high = min(a, b), max(a, b)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        return
    ticks = nice_ticks(low, high, most)
    margin = 1e-6 * (high - low)
    assert all(low - margin <= tick <= high + margin for tick in ticks)
    assert len(ticks) <= max(most, 2)
    steps = [d - c for c, d in pairwise(ticks)]
    assert all(math.isclose(step, steps[0], rel_tol=1e-3) for step in steps)


@given(st.floats(1e-9, 1e9), st.floats(1.01, 1e9), st.integers(3, 8))
def test_marks_of_a_logarithmic_axis_are_inside(low: float, ratio: float, most: int) -> None:
    high = low * ratio
    assert all(low * 0.999 <= tick <= high * 1.001 for tick in log_ticks(low, high, most))


@given(st.lists(finite, min_size=1, max_size=5))
def test_a_scale_has_room_for_all_its_values(values: list[float]) -> None:
    scale = scale_around(values, 10.0, 100.0)
    for value in values:
        assert 10.0 - 1e-6 <= scale(value) <= 100.0 + 1e-6


def test_a_scale_turns_round_for_an_axis_upwards() -> None:
    scale = Scale(0.0, 10.0, 200.0, 0.0)
    assert [scale(0), scale(5), scale(10)] == [200.0, 100.0, 0.0]
    assert Scale(1.0, 100.0, 0.0, 2.0, log=True)(10.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-2.5, "-2.5"), (1500.0, "1500"), (25_000.0, "25k"), (2.5e6, "2.5M"), (1e-7, "1e-7")],
)
def test_a_mark_as_text(value: float, text: str) -> None:
    assert tick_text(value) == text


@given(st.text(min_size=1, max_size=60))
def test_a_text_is_cut_to_its_room(text: str) -> None:
    found = cut(text, 80.0)
    assert found == text or len(found) == 1 or (found.endswith("…") and text_width(found) <= 80.0)
