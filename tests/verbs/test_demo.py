"""The samples of the package: what they are, and how they come into a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from jobs.make_sample import sample_of
from linreg_dist.jobspec import load_spec
from linreg_dist.verbs.begin.demo import copy_samples

SAMPLES = Path(lr.__file__).parent / "samples"


def test_the_sample_is_every_twelfth_flight_and_small() -> None:
    for month in (1, 7, 12):
        written = pq.ParquetFile(SAMPLES / "flights" / f"month={month}" / "part-0.parquet").read()
        assert written.equals(sample_of(month))
    assert sum(file.stat().st_size for file in SAMPLES.rglob("*") if file.is_file()) < 500_000


@pytest.mark.parametrize("spec", sorted(SAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_sample_spec_is_valid(spec: Path) -> None:
    assert load_spec(spec).name == spec.stem


def test_what_is_in_the_folder_already_is_left_as_it_is(tmp_path: Path) -> None:
    first = copy_samples(tmp_path / "demo")
    assert first.kept == ()
    first.spec.write_text("version: 1\n")
    (first.folder / "flights_adam.yaml").unlink()
    second = copy_samples(tmp_path / "demo")
    assert second.kept == ("flights.yaml",)
    assert first.spec.read_text() == "version: 1\n"
    assert (first.folder / "flights_adam.yaml").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    places = [
        tmp_path / "file",
        tmp_path / "loop",
        tmp_path / ("a" * 5000),
        "/dev/zero",
        "",
        "s3://bucket/demo",
    ]
    for folder in places:
        with pytest.raises(lr.SpecError, match="folder"):
            copy_samples(folder)


@pytest.mark.slow  # two processes that train, 5 s each
def test_the_demo_trains_says_what_to_try_next_and_that_works(tmp_path: Path) -> None:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "linreg_dist", *arguments], cwd=tmp_path, capture_output=True, text=True
        )

    done = call("demo", "here")
    assert done.returncode == 0, done.stderr
    assert "flights: succeeded" in done.stdout
    assert (tmp_path / "here/runs/flights/report.html").exists()
    commands = [line.split()[1:] for line in done.stderr.splitlines() if line.startswith("  linreg-dist")]
    assert [command[0] for command in commands] == ["show", "predict", "train", "init", "train"]
    shown = call(*commands[0])
    assert (shown.returncode, "dep_delay" in shown.stdout) == (0, True), shown.stderr
    # A second time reports the run that is there.
    again = call("demo", "here", "-q")
    assert (again.returncode, again.stderr) == (0, "")
    assert "flights: succeeded" in again.stdout
