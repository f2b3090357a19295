"""The package can be published: what is built is whole, reads well alone, and works where it is installed."""

from __future__ import annotations

import email
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import linreg_dist
from setup import readme_alone

ROOT = Path(__file__).parents[1]


def call(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(each) for each in arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a wheel and an sdist, built from a copy of the tree."""
    source = tmp_path_factory.mktemp("source")
    listed = call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).stdout
    for name in listed.split("\0"):
        if name and not name.startswith(("tests/", "jobs/", "benchmarks/")) and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    call(sys.executable, "-m", "build", "--no-isolation", ".", cwd=source)
    return source / "dist"


@pytest.mark.slow  # builds, installs, and trains once in a process of its own
def test_the_wheel_works_in_an_environment_of_its_own(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv/bin/python"
    site = next((tmp_path / "venv/lib").glob("python*/site-packages"))
    # The dependencies are those of this environment; a path in a .pth brings none of its editable installs.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    call(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=tmp_path,
    )
    where = call(python, "-c", "import linreg_dist; print(linreg_dist.__file__)", cwd=tmp_path).stdout
    assert Path(where.strip()).is_relative_to(site)
    done = call(tmp_path / "venv/bin/linreg-dist", "demo", cwd=tmp_path)
    assert "flights: succeeded" in done.stdout
    assert (tmp_path / "linreg-dist-demo/runs/flights/report.html").exists()
    assert (
        call(python, "-m", "linreg_dist", "--version", cwd=tmp_path)
        .stdout.strip()
        .endswith(linreg_dist.__version__)
    )


@pytest.mark.slow  # shares the build
def test_an_index_would_take_it_and_show_its_readme(built: Path) -> None:
    call(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *built.iterdir(), cwd=built)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        message = email.message_from_string(archive.read(metadata).decode())
        names = archive.namelist()
    assert message["Author"] == "The linreg_dist developers"
    assert message["License-Expression"] == "Apache-2.0"
    assert message["Version"] == linreg_dist.__version__
    assert "Python :: 3.14" in str(message.get_all("Classifier"))
    text = str(message.get_payload())
    assert "linreg-dist demo" in text
    assert not re.findall(r"\]\((?!https?:|#)", text), "a link that leads nowhere"
    for kept in ("samples/flights.yaml", "samples/flights/month=12/part-0.parquet", "py.typed"):
        assert f"linreg_dist/{kept}" in names
    assert wheel.stat().st_size < 2 << 20


def test_links_and_pictures_into_the_repository_become_text() -> None:
    text = "See [the *docs*](docs/index.md) and [Ray](https://ray.io).\n\n![a run](docs/run.svg)\n\nEnd.\n"
    assert readme_alone(text).startswith("See the *docs* and [Ray](https://ray.io).\n\nEnd.")
