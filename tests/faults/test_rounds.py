"""A few rounds of the fault suite for CI; `make soak` plays a hundred."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.injuries import FAULTS
from tests.faults.jobs import SOLVERS
from tests.faults.rounds import Draw, Record, Suite
from tests.faults.summary import summarise


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    with Suite(tmp_path_factory.mktemp("faults"), quick=True) as started:
        yield started


ROUNDS = [
    Draw(0, 0, "sgd", 0, "driver killed, newest checkpoint damaged", "training", 0.4),
    Draw(0, 1, "sgd", 0, "driver told to stop", "training", 0.2),
    Draw(0, 2, "exact", 2, "worker killed", "training", 0.3),
]


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("draw", ROUNDS, ids=lambda draw: draw.fault)
def test_a_disturbed_run_ends_like_an_undisturbed_one(suite: Suite, draw: Draw) -> None:
    record = suite.play(draw)
    assert record.result == "ok", record
    assert record.hit


def test_a_record_comes_back_from_its_line_of_json() -> None:
    record = Record(ROUNDS[0], hit=True, seconds=3.5, extra_s=1.25, exit_codes=[-9, 0], bit_equal=True)
    assert Record.from_json(record.to_json()) == record
    assert "| driver killed, newest checkpoint damaged | 0 | 1 | 1 | 1 | 1 | 1.2 s |" in summarise([record])


def test_a_round_is_drawn_from_its_seed_and_number_alone() -> None:
    rounds = [Draw.of(3, number) for number in range(400)]
    assert rounds == [Draw.of(3, number) for number in range(400)]
    assert rounds != [Draw.of(4, number) for number in range(400)]
    assert {draw.fault for draw in rounds} == set(FAULTS)
    assert {(draw.solver, draw.workers) for draw in rounds} == {(s, w) for s in SOLVERS for w in (0, 2)}
    assert {draw.phase for draw in rounds} == {"start-up", "training"}
