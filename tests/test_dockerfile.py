"""The Dockerfile against the repository: what it copies is there, and what it installs is pinned."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text()
STEPS = [
    (words[0], words[1])
    for line in re.sub(r"\\\n", " ", TEXT).splitlines()
    if line.strip() and not line.startswith("#")
    for words in [line.split(maxsplit=1)]
]


def sources() -> list[str]:
    return [name for step, rest in STEPS if step == "COPY" for name in shlex.split(rest)[:-1]]


def test_it_copies_what_is_there_and_the_ignore_file_lets_through() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert set(sources()) == allowed
    for name in sources():
        assert (ROOT / name).exists(), name


def test_it_installs_the_pinned_versions_and_names_no_registry() -> None:
    (install,) = [rest for step, rest in STEPS if step == "RUN" and "pip install" in rest]
    assert "--constraint constraints.txt" in install
    assert "://" not in TEXT
    assert not re.search(r"--(extra-)?index-url|--find-links", TEXT)
    (image,) = [rest for step, rest in STEPS if step == "FROM"]
    version = re.fullmatch(r"python:(\d+)\.(\d+)-slim", image)
    assert version is not None
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert requires == f">={version[1]}.{version[2]}", "the version that constraints.txt is made for"


def test_it_runs_without_the_rights_of_root() -> None:
    users = [rest for step, rest in STEPS if step == "USER"]
    assert users[-1] == "1000"
    assert [step for step, _ in STEPS].index("USER") > max(
        n for n, (step, _) in enumerate(STEPS) if step == "RUN"
    )


def test_what_it_copies_is_enough_to_build_the_package(tmp_path: Path) -> None:
    """Build the metadata from the copied files alone, as pip does first; the rest is downloading."""
    for name in sources():
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    program = "from setuptools import build_meta; print(build_meta.prepare_metadata_for_build_wheel('.'))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    folder = tmp_path / done.stdout.split()[-1]
    assert "linreg-dist = linreg_dist.cli.main:main" in (folder / "entry_points.txt").read_text()
    assert "Requires-Dist: torch" in (folder / "METADATA").read_text()
