"""The example for DVC under a real DVC."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integrations.commands import copy_example, result_of, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # each trains in commands of its own


def test_dvc_trains_where_something_has_changed(tmp_path: Path) -> None:
    place = copy_example("dvc", tmp_path)
    run("git", "init", "-q", cwd=place)
    (place / ".gitignore").write_text("data\nruns\n")  # to which DVC adds its own
    run("dvc", "init", "-q", cwd=place)
    run("dvc", "repro", cwd=place)
    first = result_of(place)
    shown = json.loads(run("dvc", "metrics", "show", "--json", cwd=place).stdout)
    (metrics,) = shown[""]["data"].values()
    assert metrics["data"]["metrics"]["train"]["r2"] == first["metrics"]["train"]["r2"]
    assert "didn't change" in run("dvc", "repro", cwd=place).stdout

    run("git", "add", "--all", cwd=place)
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one", cwd=place)
    spec = place / "job.yaml"
    spec.write_text(spec.read_text().replace("l2: 0.0", "l2: 0.5"))
    assert "model.l2" in run("dvc", "params", "diff", cwd=place).stdout
    run("dvc", "repro", cwd=place)
    assert result_of(place)["metrics"] != first["metrics"]
    plots = run("dvc", "plots", "show", "-o", "plots", cwd=place)
    assert (place / "plots/index.html").exists(), plots.stderr
