"""The README is a page: what it tells a newcomer to type works, and what it shows is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import linreg_dist as lr
from tests.pages import ROOT, checkout, run_page, snippets, trained

__all__ = ["checkout", "trained"]

README = (ROOT / "README.md").read_text()


@pytest.mark.slow  # it trains four times
def test_every_snippet_runs_as_printed(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_page(README, capsys) >= 6
    assert all(each.not_run is None for each in snippets(README))
    for run in ("job", "ridge"):
        assert (checkout / "runs" / run / "result.json").exists()


def test_it_is_a_page() -> None:
    assert len(README.split()) < 1200
    for word in ("source .venv/bin/activate", "linreg-dist demo", "linreg-dist init", "(docs/index.md)"):
        assert word in README


def test_a_spec_can_be_five_lines() -> None:
    (spec,) = (each.code for each in snippets(README) if each.language == "yaml")
    assert len(spec.splitlines()) == 5


@pytest.mark.slow  # shares the run of the snippets
def test_the_shown_result_is_what_the_job_gives(trained: Path) -> None:
    result = json.loads((trained / "runs/flights/result.json").read_text())
    picture = (ROOT / "docs/pictures/run.svg").read_text()
    for split in ("train", "validation"):
        metrics = result["metrics"][split]
        for shown in (f"{result['rows'][split]:,}", f"{metrics['rmse']:.6g}"[:6], f"{metrics['r2']:.6f}"):
            assert shown in README
            assert shown in picture


def test_the_pictures_are_small_and_fetch_nothing() -> None:
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", README):
        assert (ROOT / name).stat().st_size < 150_000
        assert name.endswith(".png") or "@font-face" not in (ROOT / name).read_text()


def test_the_exit_codes_are_those_of_the_errors() -> None:
    for page in ("README.md", "docs/runs.md"):
        for error in (lr.RunFailedError, lr.SpecError, lr.DataError, lr.ClusterError, lr.InterruptedRunError):
            assert f"\n| {error.exit_code} | " in (ROOT / page).read_text()
