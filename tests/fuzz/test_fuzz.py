"""Some hundreds of seeded rounds for each kind of file; `make fuzz ROUNDS=5000 SEED=1` plays more."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_no_damage_fails_hangs_or_changes_numbers_in_silence(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.getbasetemp() / "fuzz"
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    target, rounds = TARGETS[name]
    for number in range(rounds):
        try:
            target(folder, random.Random(f"{name}:0:{number}"))
        except Exception as error:
            raise AssertionError(f"round {number} of {name}, seed 0: {error}") from error
