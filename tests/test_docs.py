"""The documentation does as it says: its snippets run, and its site builds, with all pages and no warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs.fields import markdown
from linreg_dist.jobspec import json_schema
from tests.pages import ROOT, check_commands, checkout, run_console, run_page, snippets, trained

__all__ = ["checkout", "trained"]

DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
# Pages of programs that have an environment of their own; there their examples run.
ELSEWHERE = {"airflow.md": "tests/integrations/airflow", "dagster.md": "tests/integrations/dagster"}
RUNNING = [
    page
    for page in PAGES
    if any(
        each.language in ("console", "python", "yaml", "sh") and each.not_run is None
        for each in snippets(page.read_text())
    )
]


@pytest.mark.slow  # some pages train
@pytest.mark.parametrize("page", RUNNING, ids=lambda page: str(page.relative_to(DOCS).with_suffix("")))
def test_every_snippet_of_a_page_runs(page: Path, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_page(page.read_text(), capsys, python=page.name not in ELSEWHERE) > 0


def test_pages_that_run_elsewhere_are_tested_there() -> None:
    for page, folder in ELSEWHERE.items():
        assert (DOCS / page).exists()
        assert any((ROOT / folder).glob("test_*.py")), folder


def test_what_does_not_run_or_print_so_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="no verb"):
        check_commands("linreg-dist fit job.yaml  # a comment")
    with pytest.raises(AssertionError, match="No such option"):
        check_commands("cd x && linreg-dist stats merge a --out b > c")
    check_commands("linreg-dist stats merge a b -o c.safetensors   # comment\nlinreg-dist list | head")
    with pytest.raises(AssertionError, match="does not print"):
        run_console("$ linreg-dist schema\nno such line\n", capsys)
    run_console('$ linreg-dist schema\n  "$schema": …\n', capsys)


def test_a_fence_that_is_not_run_says_why() -> None:
    text = "<!-- not run: needs a cluster -->\n\n```python\n1/0\n```\n\n```sh\nls\n```\n"
    assert [(each.language, each.not_run) for each in snippets(text)] == [
        ("python", "needs a cluster"),
        ("sh", None),
    ]


@pytest.mark.slow  # Sphinx takes 20 s
def test_the_site_builds_without_a_warning_and_has_every_page(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    index = (tmp_path / "index.html").read_text()
    for page in PAGES:
        built = page.relative_to(DOCS).with_suffix(".html")
        assert (tmp_path / built).exists()
        assert page.name == "index.md" or f'href="{built}' in index, f"{page} is in no toctree"
    commands = (tmp_path / "reference/commands.html").read_text()
    assert "--target" in commands
    assert "--covariance" in commands
    fields = (tmp_path / "reference/spec.html").read_text()
    assert "huber_epsilon" in fields
    assert re.search("LinearModel.*predict", (tmp_path / "reference/python.html").read_text(), re.DOTALL)


def test_the_reference_has_every_field_of_the_spec() -> None:
    text = "\n".join(markdown(json_schema()))
    for section in (
        "data",
        "data.validation",
        "model",
        "solver",
        "tune",
        "scaling",
        "run",
        "cluster",
        "outputs",
    ):
        assert f"\n## {section}\n" in text
    assert re.search(r"^\| `path` \| required \| Parquet to train on", text, flags=re.MULTILINE)
