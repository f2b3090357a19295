"""What the pages of docs/ tell a user to type works, in their order, as printed."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from linreg_dist.cli.main import run
from linreg_dist.jobspec import load_spec

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(console|python|yaml)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore")  # of MLflow and its database
@pytest.mark.slow  # it trains and loads what the model is taken to
# tracking.md runs in tests/test_docs.py alone: a process has one MLflow store of a relative address, which is
# that of the folder where it was opened first, so the page cannot run in two folders.
@pytest.mark.parametrize("page", ["export", "scoring"])
def test_a_page_works_from_top_to_bottom(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for language, text in _FENCE.findall((ROOT / "docs" / f"{page}.md").read_text()):
        if language == "python":
            exec(text, names)  # noqa: S102 (the page is ours)
        elif language == "yaml":
            (tmp_path / "base.yaml").write_text("data: {path: jobs/data/flights, target: arr_delay}\n")
            (tmp_path / "job.yaml").write_text(f"extends: base.yaml\n{text}")
            load_spec(tmp_path / "job.yaml")
        else:
            for line in text.splitlines():
                if line.startswith("$ "):
                    program, *arguments = shlex.split(line[2:], comments=True)
                    assert program == "linreg-dist"
                    assert run(arguments) == 0, line
