from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from linreg_dist.cluster.interpreter import NOT_FOUND, SCRIPT

TOOLS = "/usr/bin:/bin"
OURS = Path(sys.executable).parent
WHO = "import sys; print(sys.executable, sys.argv[1:])"


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with what the script uses and with no Python."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("tr", "sed"):
        (folder / name).symlink_to(Path("/usr/bin", name))
    return folder


def run_script(folder: Path, path: str, *by: str) -> subprocess.CompletedProcess[str]:
    (folder / "python.sh").write_text(SCRIPT)
    return subprocess.run(
        [*by, "/bin/sh", "python.sh", "-P", "-c", WHO, "an argument", "*"],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_python_on_the_path_runs_the_job_if_it_can(tmp_path: Path) -> None:
    done = run_script(tmp_path, f"{OURS}:{TOOLS}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{OURS / 'python'} ['an argument', '*']\n"


def test_else_the_one_that_ray_s_workers_run_on(tmp_path: Path, tools: Path) -> None:
    # A raylet is told the workers' command as one argument among others, and starts what starts the job.
    raylet = tmp_path / "raylet"
    shutil.copy("/bin/sh", raylet)
    command = f"--python_worker_command={sys.executable} worker.py --x"
    done = run_script(tmp_path, str(tools), str(raylet), "-c", '"$@"; exit $?', command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{sys.executable} ['an argument', '*']\n"


def test_where_there_is_none_it_says_which_were_asked_and_what_they_lack(tmp_path: Path, tools: Path) -> None:
    bare = tmp_path / "bare" / "python"
    bare.parent.mkdir()
    bare.write_text(f'#!/bin/sh\nshift; exec {sys.executable} -S -P "$@"\n')  # without what is installed
    bare.chmod(0o755)
    done = run_script(tmp_path, f"{tools}:{bare.parent}")
    assert done.returncode == 127
    assert done.stderr == f"{NOT_FOUND}{bare} (without linreg_dist ray), python3 (there is none)\n"
