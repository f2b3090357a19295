"""Outputs: none replaces an input, a file of another kind, or a part of a run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from linreg_dist.cli.main import run as cli
from tests.parquet import linear_columns, write_parquet


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with data ``in/a.parquet``, ``in/b/c.parquet`` and a run ``runs/r``, to be in."""
    monkeypatch.chdir(tmp_path)
    write_parquet(tmp_path / "in" / "a.parquet", linear_columns(60, 2))
    write_parquet(tmp_path / "in" / "b" / "c.parquet", linear_columns(60, 2, seed=1))
    lr.train({"name": "r", "data": {"path": "in", "target": "y"}, "outputs": {"report": False}})
    (tmp_path / "alias").symlink_to(tmp_path / "in")
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("data", "output", "why"),
    [
        ("in", "in", "is, or lies in, the data"),
        ("in", "alias", "is, or lies in, the data"),
        ("alias", "in", "is, or lies in, the data"),
        ("in", "in/scored", "is, or lies in, the data"),
        ("in", ".", "holds the data"),
        ("in/a.parquet", "in", "holds the data"),
        ("in/*.parquet", "in", "holds the data"),
        ("in/**", "in/b/scored", "is, or lies in, the data"),
        ("in/b", "in", "holds the data"),
        ("in/a.parquet", "in/a.parquet", "is, or lies in, the data"),
        ("in", "runs/r", "lies in the folder of the run"),
        ("in", "runs/r/model", "lies in the folder of the run"),
        ("in", "runs/r/scored", "lies in the folder of the run"),
    ],
)
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
def test_predictions_never_go_where_their_data_or_a_run_is(
    place: Path, capsys: pytest.CaptureFixture[str], data: str, output: str, why: str, overwrite: list[str]
) -> None:
    before = content(place)
    assert cli(["predict", "runs/r", "--data", data, "--output", output, *overwrite]) == 2
    assert why in capsys.readouterr().err
    assert content(place) == before


@pytest.mark.parametrize(("data", "output"), [("in", "scored"), ("in/a.parquet", "in/scored")])
def test_predictions_go_beside_the_data_and_may_be_made_again(place: Path, data: str, output: str) -> None:
    arguments = ["predict", "runs/r", "--data", data, "--output", output]
    assert cli(arguments) == 0
    assert cli(arguments) == 2
    assert cli([*arguments, "--overwrite"]) == 0
    assert pq.read_schema(place / output / "a.parquet").names == ["prediction"]


def data_file(path: Path) -> None:
    shutil.copy(path.parents[1] / "in" / "a.parquet", path)


def text_file(path: Path) -> None:
    path.write_text("notes")


def fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [data_file, text_file, fifo])
def test_overwrite_replaces_predictions_only(
    place: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None]
) -> None:
    (place / "scored").mkdir()
    make(place / "scored" / "a.parquet")
    before = (place / "scored" / "a.parquet").lstat()
    assert cli(["predict", "runs/r", "--data", "in", "--output", "scored", "--overwrite"]) == 2
    assert "is not a file of predictions" in capsys.readouterr().err
    assert (place / "scored" / "a.parquet").lstat() == before


def test_a_link_under_the_temporary_name_of_an_output_is_not_written_through(place: Path) -> None:
    (place / "scored").mkdir()
    (place / "precious").write_text("data")
    (place / "scored" / ".a.parquet.tmp").symlink_to(place / "precious")
    assert cli(["predict", "runs/r", "--data", "in/a.parquet", "--output", "scored"]) == 0
    assert (place / "precious").read_text() == "data"


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("in/a.parquet", "not a statistics file"),
        ("notes.txt", "not a statistics file"),
        ("in", "is a folder"),
        ("runs/r/statistics.safetensors", "one of the statistics that are read"),
        ("runs/r/other.safetensors", "lies in the folder of the run"),
        ("linked", "one of the statistics that are read"),
    ],
)
def test_statistics_replace_statistics_only(
    place: Path, capsys: pytest.CaptureFixture[str], output: str, why: str
) -> None:
    (place / "notes.txt").write_text("years of work")
    (place / "linked").symlink_to(place / "runs" / "r" / "statistics.safetensors")
    before = content(place)
    for verb in (["merge", "runs/r"], ["subtract", "runs/r", "runs/r"]):
        assert cli(["stats", *verb, "-o", output]) == 2
        assert why in capsys.readouterr().err
    assert content(place) == before


def test_statistics_may_be_written_again(place: Path) -> None:
    for _ in range(2):
        assert cli(["stats", "merge", "runs/r", "-o", "total.safetensors"]) == 0


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "covariance.safetensors"])
@pytest.mark.parametrize("text", ['{"compilerOptions": {}}', "", "[]"])
def test_a_model_replaces_files_of_a_model_only(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    (place / "site").mkdir()
    (place / "site" / name).write_text(text)
    assert cli(["stats", "solve", "runs/r", "-o", "site"]) == 2
    assert f"{name} is no file of a model" in capsys.readouterr().err
    assert content(place / "site") == {name: text.encode()}


def test_a_model_may_be_written_again_but_not_into_a_run(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert cli(["stats", "solve", "runs/r", "-o", "ridge", "--set", "model.l2=0.1"]) == 0
    capsys.readouterr()
    assert cli(["stats", "solve", "runs/r", "-o", "runs/r/model", "--set", "model.l2=0.1"]) == 2
    assert "lies in the folder of the run" in capsys.readouterr().err
    assert cli(["stats", "solve", "runs/r", "-o", "in/a.parquet"]) == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_model_of_fifos_devices_or_endless_files_is_refused_at_once(
    place: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for number, make in enumerate((os.mkfifo, lambda path: path.symlink_to("/dev/zero"), endless)):
        model = place / f"model{number}"
        shutil.copytree(place / "runs" / "r" / "model", model)
        (model / name).unlink()
        make(model / name)
        for arguments in (["show", model], ["evaluate", model, "--data", "in"]):
            assert cli([str(argument) for argument in arguments]) == 2
            assert "cannot be read" in capsys.readouterr().err


def endless(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("name", "code"),
    [("result.json", 2), ("checkpoints/identity.json", 2), ("lock.json", 2), ("job.yaml", 0)],
)
def test_a_fifo_in_a_run_folder_holds_nothing_up(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, code: int
) -> None:
    (place / "runs" / "r" / name).unlink(missing_ok=True)
    os.mkfifo(place / "runs" / "r" / name)
    (place / "job.json").write_text('{"name": "r", "data": {"path": "in", "target": "y"}}')
    assert cli(["train", "job.json"]) == code
    if code:
        assert name in capsys.readouterr().err
