"""What the README tells a newcomer to type works, and what it shows is so."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import linreg_dist as lr
from linreg_dist.jobspec import load_spec

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the jobs and their data, as in a clone."""
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    return tmp_path


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_every_command_works(checkout: Path) -> None:
    commands = [
        line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")
    ]
    assert len(commands) >= 5
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "linreg-dist"
        done = subprocess.run(
            [sys.executable, "-m", "linreg_dist", *arguments],
            cwd=checkout,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_python_example_works(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    monkeypatch.chdir(checkout)
    table = pq.read_table(checkout / "jobs/data/flights")
    code = "\n".join(blocks("python"))
    exec(code, {"table": table})  # noqa: S102 (the README is ours)
    assert (checkout / "runs" / "ridge" / "result.json").exists()


def test_the_spec_example_is_valid(tmp_path: Path) -> None:
    (example,) = blocks("yaml")
    (tmp_path / "job.yaml").write_text(example)
    spec = load_spec(tmp_path / "job.yaml")
    assert spec.name == "flights"
    assert yaml.safe_load(example)["solver"]["name"] == "auto"


def test_the_shown_result_is_what_the_demo_gives(checkout: Path) -> None:
    run = lr.train(checkout / "jobs" / "flights.yaml", {"run.storage_path": str(checkout / "runs")})
    for split in ("train", "validation"):
        assert f"{run.result['rows'][split]:,}" in README
        for key in ("mse", "rmse", "mae"):
            assert f"{run.metrics[split][key]:.6g}"[:6] in README


def test_the_exit_codes_are_those_of_the_errors() -> None:
    for error in (lr.RunFailedError, lr.SpecError, lr.DataError, lr.ClusterError, lr.InterruptedRunError):
        assert f"\n| {error.exit_code} | " in README
