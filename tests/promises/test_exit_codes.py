"""Whatever a spec, a path, a model, a URI or an address says wrong: one message and exit code 2, 3 or 4."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from tests.fuzz.verbs import verb

BAD = [
    "nothing",
    "nothing/at/all",
    "file",
    "folder",
    "empty",
    "fifo",
    "/dev/null",
    "/dev/zero",
    "dangling",
    "loop",
    "bytes",
    "a" * 5000,
    "",
    "~nobody/x",
    "file/x",
    "s3://",
    "s3:///x",
    "foo://bar",
    "gs://",
    "http://x/y",
    "\udcff",
    "[",
    "x\ny",
]

VERBS = {
    "train": ["train", "?"],
    "dry run": ["train", "?", "--dry-run"],
    "update": ["train", "job.json", "--update", "?"],
    "batch": ["batch", "?", "--dry-run"],
    "validate": ["validate", "?", "--data"],
    "show": ["show", "?", "--json"],
    "covariance": ["show", "?", "--covariance"],
    "evaluate model": ["evaluate", "?", "--data", "rows.parquet"],
    "evaluate data": ["evaluate", "runs/r", "--data", "?"],
    "predict model": ["predict", "?", "--data", "rows.parquet", "--output", "out"],
    "predict data": ["predict", "runs/r", "--data", "?", "--output", "out"],
    "inspect": ["inspect", "?"],
    "init": ["init", "?"],
    "train data": ["train", "--data", "?", "--target", "y", "--dry-run"],
    "solve": ["stats", "solve", "?"],
    "merge": ["stats", "merge", "?", "runs/r", "-o", "merged"],
    "subtract": ["stats", "subtract", "runs/r", "?", "-o", "rest"],
    "data path": ["validate", "job.json", "--data", "--set", "data.path=?"],
    "submit": ["submit", "?", "--dry-run"],
}

OUTPUTS = {
    "predict": ["predict", "runs/r", "--data", "rows.parquet", "--output", "?"],
    "keep": ["predict", "runs/r", "--data", "rows.parquet", "--output", "out", "--overwrite", "--keep", "?"],
    "merge": ["stats", "merge", "runs/r", "-o", "?"],
    "draft": ["init", "rows.parquet", "--target", "y", "-o", "?"],
    "solve": ["stats", "solve", "runs/r", "-o", "?"],
    "features": ["stats", "solve", "runs/r", "--features", "?"],
    "set": ["train", "job.json", "--dry-run", "--set", "?"],
    "storage": ["train", "job.json", "--dry-run", "--set", "run.storage_path=?"],
    "image": ["submit", "job.json", "--dry-run", "-o", "rayjob", "--image", "?"],
}

ADDRESSES = [
    "http://",
    "http://[::1",
    "http://127.0.0.1:1",
    "http://127.0.0.1:99999",
    "http://x y",
    "https://",
    "ftp://x",
    "http://" + "a" * 300,
    "nope",
    "",
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grid")
    rng = np.random.default_rng(0)
    rows = {name: rng.normal(size=60) for name in "xzy"}
    pq.write_table(pa.table(rows), folder / "rows.parquet")
    job = {
        "name": "r",
        "data": {"path": str(folder / "rows.parquet"), "target": "y"},
        "run": {"storage_path": str(folder / "runs")},
        "outputs": {"report": False},
    }
    (folder / "job.json").write_text(json.dumps(job))
    lr.train(folder / "job.json")
    (folder / "file").write_text("text")
    (folder / "folder").mkdir()
    (folder / "empty").write_bytes(b"")
    (folder / "bytes").write_bytes(bytes(range(256)))
    os.mkfifo(folder / "fifo")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    return folder


def filled(arguments: list[str], value: str) -> list[str]:
    return [argument.replace("?", value) for argument in arguments]


@pytest.mark.parametrize("name", VERBS)
def test_an_input_that_is_none_is_bad_usage_or_bad_data(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for value in BAD:
        done = verb(*filled(VERBS[name], value))
        assert done.code in (2, 3), (value[:50], done)
        assert done.err.strip(), (value[:50], done)


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_or_a_choice_that_cannot_be_is_bad_usage(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    for value in BAD:
        done = verb(*filled(OUTPUTS[name], value))
        assert done.code in (0, 2, 3), (value[:50], done)


@pytest.mark.parametrize("name", ["list", "status", "logs", "stop", "submit"])
def test_an_address_where_no_job_server_can_be_is_bad_usage_or_unreachable(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    arguments = {"list": [], "submit": ["job.json", "--no-wait"]}.get(name, ["job"])
    for address in ADDRESSES:
        done = verb(name, *arguments, "--address", address)
        assert done.code in (2, 4), (address, done)


def test_a_spec_may_come_through_a_pipe_that_is_open(place: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, (place / "job.json").read_bytes())
    os.close(writer)
    assert verb("validate", f"/dev/fd/{reader}").code == 0
    os.close(reader)
