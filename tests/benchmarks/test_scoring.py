"""The benchmark of scoring runs, and checks what is predicted in every round."""

from __future__ import annotations

from benchmarks.scoring import measure


def test_a_small_round_of_both_is_timed() -> None:
    found = measure(4_000, features=3, rounds=2)
    assert len(found.bare_s) == len(found.ours_s) == 2
    assert found.share > 0
