"""The import path of child processes: this package's, and never the current directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from linreg_dist.run.ray import python_path
from linreg_dist.run.ray.python_path import child_environment, package_path, ray_job_config

ROOT = str(Path(python_path.__file__).resolve().parents[2])


def test_an_installed_package_needs_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("site.getsitepackages", lambda: [ROOT])
    monkeypatch.setattr(sys, "path", ["", ROOT])
    assert package_path() is None


def test_a_checkout_that_is_not_installed_is_found_by_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", ["", *(path for path in sys.path if os.path.realpath(path) != ROOT)])
    assert package_path() == ROOT
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    assert child_environment()["PYTHONPATH"] == f"/somewhere{os.pathsep}{ROOT}"
    monkeypatch.delenv("PYTHONPATH")
    assert child_environment()["PYTHONPATH"] == ROOT


@pytest.mark.parametrize("planted", ["click", "yaml", "pydantic", "linreg_dist"])
def test_a_child_executes_nothing_of_its_directory(tmp_path: Path, planted: str) -> None:
    (tmp_path / f"{planted}.py").write_text("raise SystemExit('executed')\n")
    (tmp_path / "job.yaml").write_text("data: {path: d, target: y}\n")
    command = [sys.executable, "-m", "linreg_dist", "validate", "job.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=child_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    # By hand, without the environment: only a package of this very name comes before ours.
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=plain, capture_output=True, text=True)
    assert ("executed" in done.stderr) == (planted == "linreg_dist")


def test_ray_can_add_nothing_to_the_path_of_the_workers() -> None:
    config = ray_job_config()
    before = list(config._py_driver_sys_path)
    config._py_driver_sys_path.extend(["/data", os.getcwd()])
    assert list(config._py_driver_sys_path) == before
    assert list(config._get_proto_job_config().py_driver_sys_path) == before
