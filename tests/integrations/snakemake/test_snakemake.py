"""The example for Snakemake under a real Snakemake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integrations.commands import copy_example, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # each trains in commands of its own


def snakemake(place: Path, *arguments: str, rc: int = 0) -> str:
    done = run("snakemake", "--cores", "1", *arguments, cwd=place, rc=rc)
    return done.stdout + done.stderr


def result(place: Path, month: int) -> dict[str, object]:
    """Return the result of a month, which is the output of Snakemake's rule."""
    document: dict[str, object] = json.loads((place / f"results/flights-{month}.json").read_text())
    return document


def test_snakemake_trains_the_months_that_have_changed_and_tries_no_bad_one_again(tmp_path: Path) -> None:
    place = copy_example("snakemake", tmp_path)
    snakemake(place)
    first = [result(place, month) for month in (1, 2)]
    assert [found["name"] for found in first] == ["flights-1", "flights-2"]
    assert first[0]["rows"] != first[1]["rows"], "each month has rows of its own"
    assert "flights-2" in (place / "results/comparison.html").read_text()
    assert "Nothing to be done" in snakemake(place)

    february = place / "data/month=2/part-0.parquet"
    whole = february.read_bytes()
    february.write_bytes(whole[:-20])
    said = snakemake(place, "--printshellcmds", rc=1)
    assert "month=1" not in said, "a month that has not changed is not trained again"
    log = (place / "logs/flights-2.log").read_text()
    assert log.count("month=2/part-0.parquet cannot be read as Parquet") == 1, "bad data is not tried again"
    assert not (place / "results/flights-2.json").exists()

    february.write_bytes(whole)
    snakemake(place)
    assert result(place, 2)["metrics"] == first[1]["metrics"]
    assert result(place, 1) == first[0]
