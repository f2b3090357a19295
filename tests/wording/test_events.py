from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.console import EventLines, ProgressDisplay
from linreg_dist.page import epoch_lines
from linreg_dist.wording.events import parse_event

TICK = {
    "progress": 0.5,
    "phase": "train",
    "of_epoch": 3,
    "rows": 10,
    "rows_per_s": 1e6,
    "loss": None,
    "eta_s": 4.0,
}
EPOCH = {
    "epoch": 0,
    "rows": 10,
    "rows_per_s": 2.0,
    "seconds": 5.0,
    "train_mse": 1.0,
    "validation_mse": None,
    "validation_r2": -3.5,
    "learning_rate": 0.1,
}

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("event", [TICK, EPOCH])
def test_a_line_that_a_run_writes_comes_back_as_it_is(event: dict[str, Any]) -> None:
    for line in (json.dumps(event), json.dumps(event).encode() + b"\n"):
        found = parse_event(line)
        assert found is not None
        assert found.to_json() == event


@pytest.mark.parametrize(
    "line",
    [
        "",
        "text",
        "[1]",
        '{"progress": 0.5',
        '{"progress": "abc"}',
        '{"progress": NaN}',
        '{"progress": null, "epoch": 1}',
        '{"epoch": "1"}',
        '{"epoch": true}',
        '{"epoch": -1}',
        '{"epoch": 1e99}',
        '{"status": "succeeded"}',
        '{"progress":' * 5000,
        b"\xff{",
    ],
)
def test_a_line_without_a_usable_key_is_no_event(line: str | bytes) -> None:
    assert parse_event(line) is None


def test_a_figure_that_is_none_is_left_out_of_sight() -> None:
    line = (
        '{"progress": 0.1, "eta_s": "soon", "loss": 1e999, "rows": [1], "phase": {"a": 1}, "of_epoch": 1.5}'
    )
    found = parse_event(line)
    assert found is not None
    figures = found.to_json()
    assert figures.pop("progress") == 0.1
    assert set(figures.values()) == {None}


@given(st.dictionaries(st.sampled_from([*TICK, *EPOCH, "x"]), _VALUES))
def test_any_event_can_be_shown_passed_on_and_drawn(document: dict[str, Any]) -> None:
    event = parse_event(json.dumps(document))
    if event is None:
        return
    times = iter(range(10**6))
    stream = io.StringIO()
    with ProgressDisplay(stream, verbose=True, clock=lambda: 60.0 * next(times)) as display:
        display.event(event)
    assert stream.getvalue().count("\n") >= 1
    passed_on = io.StringIO()
    EventLines(passed_on).event(event)
    plain = event.to_json()
    assert json.loads(passed_on.getvalue()) == plain
    assert len(epoch_lines(json.dumps(plain))) == ("progress" not in plain)
