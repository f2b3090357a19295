"""A few rounds of the fault suite for CI; `make soak` plays a hundred."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.rounds import Draw, Suite

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with Suite(tmp_path_factory.mktemp("faults")) as started:
        yield started


ROUNDS = [
    Draw(0, 0, "sgd", 0, "driver killed, newest checkpoint damaged", "training", 0.4),
    Draw(0, 1, "sgd", 0, "driver told to stop", "training", 0.2),
    Draw(0, 2, "exact", 2, "worker killed", "training", 0.3),
]


@pytest.mark.parametrize("draw", ROUNDS, ids=lambda draw: draw.fault)
def test_a_disturbed_run_ends_like_an_undisturbed_one(suite: Suite, draw: Draw) -> None:
    record = suite.play(draw)
    assert record.result == "ok", record
    assert record.hit
    assert record.bit_equal
