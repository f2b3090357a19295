from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from linreg_dist.data.block import Shift
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.training.checkpoints.lane_keeper import LaneKeeper

LANES = ((0, 2, 4), (1, 3))


class ListFile:
    """A lane's part that is a list of numbers."""

    folder = "checkpoints/lists"
    suffix = ".json"

    def to_bytes(self, part: list[int], groups: Sequence[int], fingerprint: str) -> bytes:
        return json.dumps([fingerprint, part, list(groups)]).encode()

    def from_bytes(
        self, content: bytes, groups: Sequence[int], fingerprint: str
    ) -> tuple[list[int], int] | None:
        of, part, done = json.loads(content)
        return (part, len(done)) if of == fingerprint and done == list(groups[: len(done)]) else None


def keeper_of(
    folder: Path, *, every_s: float = 1e-9, fingerprint: str = "job", shift: float = 0.0
) -> LaneKeeper[list[int]]:
    run = SimpleNamespace(checkpoint_every_s=every_s)
    job = SimpleNamespace(
        run_dir=folder, lanes=LANES, num_lanes=2, fingerprint=fingerprint, spec=SimpleNamespace(run=run)
    )
    data = SimpleNamespace(encoding=Encoding(()), shift=Shift(np.array([shift]), np.zeros(1)))
    return LaneKeeper(job, data, ListFile())  # type: ignore[arg-type]  # the fields that it looks at


def test_what_was_kept_of_each_lane_comes_back(tmp_path: Path) -> None:
    keeper = keeper_of(tmp_path)
    assert keeper.restore(0) is None
    keeper.keep(0, [10], 1)
    keeper.keep(1, [11], 1)
    keeper.keep(0, [10, 12], 2)
    again = keeper_of(tmp_path)
    assert again.restore(0) == ([10, 12], 2)
    assert again.restore(1) == ([11], 1)


@pytest.mark.parametrize("other", [{"fingerprint": "another"}, {"shift": 1.0}])
def test_what_another_job_kept_is_not_taken(tmp_path: Path, other: dict[str, float]) -> None:
    keeper_of(tmp_path).keep(0, [10], 1)
    assert keeper_of(tmp_path, **other).restore(0) is None  # type: ignore[arg-type]


def test_lanes_are_written_together_when_the_interval_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    keeper = keeper_of(tmp_path, every_s=30.0)
    keeper.keep(0, [10], 1)
    now[0] = 29.0
    keeper.keep(1, [11], 1)
    assert keeper.restore(0) is None
    now[0] = 31.0
    keeper.keep(0, [10, 12], 2)
    assert (keeper.restore(0), keeper.restore(1)) == (([10, 12], 2), ([11], 1))
    keeper.keep(0, [10, 12, 14], 3)
    assert keeper.restore(0) == ([10, 12], 2)


def test_a_lane_that_cannot_be_written_is_written_at_the_next_interval(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    keeper = keeper_of(tmp_path)
    keeper.keep(0, [10], 1)
    assert "no checkpoint could be written" in caplog.text
    assert "the pass goes on" in caplog.text
    (tmp_path / "checkpoints").unlink()
    keeper.keep(1, [11], 1)
    assert (keeper.restore(0), keeper.restore(1)) == (([10], 1), ([11], 1))
