"""What is a run's: only folders that we made are written to, and only files that a run writes are deleted."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import linreg_dist as lr
from linreg_dist.cli.main import run as cli
from linreg_dist.run.ours import (
    MARKER,
    clear,
    discard,
    is_inside,
    is_run_folder,
    mark,
    require_usable,
    run_around,
)
from linreg_dist.storage import ObjectPath
from tests.parquet import linear_columns, write_parquet

HASH = "0123456789abcdef" * 4
Files = dict[str, str]


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a spec of a run ``flights`` and returns the file."""
    data = write_parquet(tmp_path / "data" / "a.parquet", linear_columns(60, 2))

    def write(file: str = "job.json", **sections: object) -> Path:
        document = {
            "name": "flights",
            "data": {"path": str(data), "target": "y"},
            "run": {"storage_path": str(tmp_path / "runs")},
            "outputs": {"report": False},
            **sections,
        }
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(json.dumps(document))
        return tmp_path / file

    return write


def put(folder: Path, files: Files) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


IDENTITY = json.dumps({"spec": HASH, "data": HASH})
RESULT = json.dumps(
    {
        "status": "failed",
        "name": "flights",
        "solver": {"name": "auto"},
        **dict.fromkeys(("model", "report", "rows", "metrics", "timing")),
        "versions": {"linreg_dist": "0.1", "python": "3.11"},
        "error": {"type": "DataError", "message": "no", "exit_code": 3},
    }
)


@pytest.mark.parametrize("files", [{"checkpoints/identity.json": IDENTITY}, {"result.json": RESULT}])
def test_a_run_of_a_version_that_wrote_no_marker_is_one(tmp_path: Path, files: Files) -> None:
    put(tmp_path / "run", files)
    assert is_run_folder(tmp_path / "run")
    clear(tmp_path / "run")
    assert list(tree(tmp_path / "run")) == [MARKER]


@pytest.mark.parametrize(
    "files",
    [
        {"job.yaml": "name: flights"},
        {"job.yaml": "name: flights", "metrics.jsonl": '{"epoch": 0}\n', "README.md": "# flights"},
        {"result.json": '{"status": "succeeded"}'},
        {"result.json": "[]"},
        {"result.json": "{" * 10},
        {"result.json": "[" * 100_000},
        {"checkpoints/identity.json": '{"spec": "a", "data": "b"}'},
        {"checkpoints/identity.json": json.dumps({"spec": HASH, "data": HASH, "more": 1})},
        {"checkpoints/epoch000001-step000000000/progress.json": "{}"},
        {MARKER: "somebody's"},
        {MARKER: '{"format": "other"}'},
        {"model/config.json": "{}"},
    ],
)
def test_what_is_no_run_is_neither_written_to_nor_cleared(tmp_path: Path, files: Files) -> None:
    put(tmp_path / "project", files)
    before = tree(tmp_path / "project")
    assert not is_run_folder(tmp_path / "project")
    for touch in (require_usable, clear):
        with pytest.raises(lr.SpecError, match="is not a run's folder"):
            touch(tmp_path / "project")
    assert tree(tmp_path / "project") == before


def test_a_folder_in_which_another_driver_begins_is_nobodys_yet(tmp_path: Path) -> None:
    put(tmp_path / "run", {"lock.json": "{}", ".lock.json.abc.tmp": "", f".{MARKER}.tmp": ""})
    require_usable(tmp_path / "run")


FOREIGN = [
    "notes.txt",
    ".git/HEAD",
    "data/d.parquet",
    "model/mine.txt",
    "checkpoints/epochs.txt",
    "checkpoints/epoch000001-step000000000/notes.txt",
    "checkpoints/epoch_of_mine/state.safetensors",
    "checkpoints/first_pass/lane-x.json",
    "history/first/result.json",
    "model/config.json/deep.txt",
    "report.html.bak",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_in_a_run_is_named_and_nothing_is_deleted(tmp_path: Path, name: str) -> None:
    mark(tmp_path / "run")
    put(tmp_path / "run", {"job.yaml": "x", "result.json": RESULT, name: "years of work"})
    before = tree(tmp_path / "run")
    with pytest.raises(lr.SpecError, match=re.escape(name.split("/")[0])):
        clear(tmp_path / "run")
    assert tree(tmp_path / "run") == before


@pytest.mark.parametrize("name", ["model", "checkpoints", "metrics.jsonl", "history", ".ray"])
def test_a_link_in_a_run_is_not_followed(tmp_path: Path, name: str) -> None:
    mark(tmp_path / "run")
    put(tmp_path / "elsewhere", {"config.json": "mine", "identity.json": "mine"})
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(lr.SpecError, match=rf"{name} \(a link\)"):
        clear(tmp_path / "run")
    assert len(tree(tmp_path / "elsewhere")) == 2


@given(
    st.lists(
        st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=12), max_size=4
    )
)
def test_no_name_that_a_run_does_not_write_is_deleted(
    tmp_path_factory: pytest.TempPathFactory, names
) -> None:
    folder = tmp_path_factory.mktemp("run") / "run"
    mark(folder)
    foreign = [name for name in names if name not in (".", "..", MARKER) and len(name.encode()) < 200]
    put(folder, {f"{name} and more": "x" for name in foreign})
    before = tree(folder)
    if before.keys() == {MARKER}:
        clear(folder)
    else:
        with pytest.raises(lr.SpecError):
            clear(folder)
    assert tree(folder) == before
    shutil.rmtree(folder)


def test_all_that_a_run_writes_is_a_runs_and_can_be_started_over(tmp_path: Path, job) -> None:
    for solver in ("exact", "sgd", "lbfgs"):
        spec = job(solver={"name": solver, "epochs": 2})
        run = lr.train(spec, fresh=True)
        assert (run.path / MARKER).is_file()
        assert lr.train(spec).already_finished
        clear(run.path)
        assert list(tree(run.path)) == [MARKER], "every file of a run is known by its name"


@pytest.mark.parametrize("folder", ["checkpoints/first_pass", "checkpoints/moments"])
def test_used_up_checkpoints_go_and_what_is_not_ours_stays(tmp_path: Path, folder: str) -> None:
    names = [f"{folder}/lane-0000.json", f"{folder}/lane-0000.safetensors", f"{folder}/notes.txt"]
    put(tmp_path / "run", dict.fromkeys(names, "x"))
    discard(tmp_path / "run", folder)
    assert len(tree(tmp_path / "run")) == 2, "one of the two lanes is of this folder"
    assert (tmp_path / "run" / folder / "notes.txt").exists()
    for name in tree(tmp_path / "run"):
        (tmp_path / "run" / name).unlink()
    put(tmp_path / "run", {f"{folder}/lane-0001{'.json' if 'first' in folder else '.safetensors'}": "x"})
    discard(tmp_path / "run", folder)
    assert not (tmp_path / "run" / folder).exists()
    put(tmp_path / "elsewhere", {"lane-0000.json": "x", "lane-0000.safetensors": "x"})
    (tmp_path / "run" / folder).symlink_to(tmp_path / "elsewhere")
    discard(tmp_path / "run", folder)
    assert len(tree(tmp_path / "elsewhere")) == 2


def test_an_update_in_place_leaves_only_what_a_run_writes(tmp_path: Path, job) -> None:
    spec = job(data={"path": str(tmp_path / "data"), "target": "y"})
    run = lr.train(spec)
    write_parquet(tmp_path / "data" / "b.parquet", linear_columns(40, 2, seed=1))
    lr.train(spec, update=run.path)
    assert (run.path / "history" / "0001" / "result.json").exists()
    clear(run.path)
    assert list(tree(run.path)) == [MARKER]


def test_fresh_deletes_no_project_that_has_a_job_of_its_own_name(tmp_path: Path, job, capsys) -> None:
    put(tmp_path / "flights", {"notes.txt": "thesis", ".git/HEAD": "ref"})
    spec = job("flights/job.yaml", run={"storage_path": str(tmp_path)})
    before = tree(tmp_path / "flights")
    for arguments in ([], ["--fresh"]):
        assert cli(["train", str(spec), *arguments]) == 2
        message = capsys.readouterr().err
        assert "notes.txt" in message
        assert "choose another name" in message
    assert tree(tmp_path / "flights") == before


@pytest.mark.parametrize("fresh", [False, True])
def test_a_runs_folder_is_no_link(tmp_path: Path, job, fresh: bool) -> None:
    real = lr.train(job()).path
    moved = real.rename(tmp_path / "elsewhere")
    real.symlink_to(moved)
    before = tree(moved)
    with pytest.raises(lr.SpecError, match="is a link to"):
        lr.train(job(), fresh=fresh)
    assert tree(moved) == before


def test_the_folder_of_runs_may_be_a_link(tmp_path: Path, job) -> None:
    (tmp_path / "large_disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "large_disk")
    assert lr.train(job()).result["status"] == "succeeded"
    assert not lr.train(job(), fresh=True).already_finished


def test_a_file_in_the_place_of_the_folder_of_runs_is_bad_usage(tmp_path: Path, job, capsys) -> None:
    (tmp_path / "runs").write_text("a file")
    assert cli(["train", str(job())]) == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize("field", ["data.path", "data.validation.path"])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_run_that_holds_its_own_data_is_refused(tmp_path: Path, job, field: str, fresh: bool) -> None:
    run = lr.train(job()).path
    inside = write_parquet(run / "more.parquet", linear_columns(30, 2))
    data = {"path": str(inside), "target": "y"}
    if field != "data.path":
        data = {
            "path": str(tmp_path / "data"),
            "target": "y",
            "validation": {"method": "path", "path": str(inside)},
        }
    with pytest.raises(lr.SpecError, match=rf"{field} .*more.parquet lies in the run's own folder"):
        lr.train(job(data=data), fresh=fresh)
    assert inside.exists()


def test_the_spec_in_a_runs_folder_may_be_run_again_but_not_deleted(tmp_path: Path, job, capsys) -> None:
    run = lr.train(job()).path
    assert cli(["train", str(run / "job.yaml"), "-q"]) == 0
    assert cli(["train", str(run / "job.yaml"), "--fresh"]) == 2
    assert "the spec" in capsys.readouterr().err
    assert (run / "job.yaml").exists()


def test_the_specs_of_a_matrix_know_the_file_that_they_are_from(tmp_path: Path, job) -> None:
    from linreg_dist.jobspec import expand_matrix, load_spec

    (tmp_path / "base.yaml").write_text("solver: {epochs: 3}\n")
    file = job("sweep.json", extends="base.yaml", matrix={"model.l2": [0.0, 1.0]})
    expected = (str(file), str(tmp_path / "base.yaml"))
    assert [spec.files for spec in expand_matrix(load_spec(file))] == [expected, expected]


def test_inside_is_by_what_links_point_to(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True)
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    assert is_inside(tmp_path / "alias" / "sub", tmp_path / "real")
    assert is_inside(f"file://{tmp_path}/real/x", tmp_path / "alias")
    assert not is_inside(tmp_path / "really", tmp_path / "real")
    assert not is_inside("s3://lab/real", tmp_path / "real")
    assert is_inside("s3://lab/runs/a/x?region=eu", ObjectPath("s3://lab/runs/a"))
    assert not is_inside("s3://lab/runs/ab", ObjectPath("s3://lab/runs/a"))


def test_the_run_around_a_file_is_found(tmp_path: Path) -> None:
    mark(tmp_path / "run")
    put(tmp_path / "run", {"model/config.json": "{}"})
    for inside in ("", "model", "model/config.json", "scored"):
        assert run_around(tmp_path / "run" / inside) == tmp_path / "run"
    assert run_around(tmp_path / "other" / "x") is None
