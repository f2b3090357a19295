"""A full disk costs checkpoints and cached blocks, not the job; what must be written says where and how much
is free, and the same command goes on once there is room.
"""

from __future__ import annotations

import errno
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from linreg_dist.data.block import Block
from linreg_dist.data.cache import BlockCache
from linreg_dist.errors import RunFailedError
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.training.checkpoints.checkpoint import CheckpointStore, Progress
from linreg_dist.verbs.train import train
from tests.parquet import linear_columns, write_parquet
from tests.places import disk as small_disk


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no byte free."""
        for size in (1 << 16, 1 << 12, 1):
            self._append_until_full(b"\0" * size)

    def _append_until_full(self, chunk: bytes) -> None:
        with self._ballast.open("ab", buffering=0) as file:
            while True:
                try:
                    file.write(chunk)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return

    def free(self) -> None:
        """Take back what `fill` took."""
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system to fill")
    with mounted(tmp_path / "disk", "size=1m") as path:
        yield Disk(path)


@contextmanager
def mounted(path: Path, options: str) -> Iterator[Path]:
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def spec(tmp_path: Path, disk: Disk) -> dict[str, Any]:
    write_parquet(tmp_path / "d" / "a.parquet", linear_columns(1000, 3), row_group_size=150)
    return {
        "name": "job",
        "data": {"path": str(tmp_path / "d"), "target": "y", "validation": {"method": "none"}},
        "solver": {"name": "sgd", "epochs": 4, "global_batch_size": 100, "early_stop": None},
        "run": {"storage_path": str(disk.path / "runs"), "checkpoint_every_s": 1e-9},
    }


def while_training(
    begin: Callable[[], None] | None = None, end: Callable[[], None] | None = None
) -> Callable[[Path], Any]:
    """Return a watcher that does something when training begins and when it has ended."""

    @contextmanager
    def watch(_: Path) -> Iterator[None]:
        if begin:
            begin()
        try:
            yield
        finally:
            if end:
                end()

    return watch


def progress(epoch: int) -> Progress:
    return Progress(
        epoch=epoch,
        step=0,
        global_batch_size=10,
        fingerprint="job",
        epoch_sums=[0.0],
        world_size=1,
        history=[],
        best=None,
        stale=0,
    )


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(disk: Disk, caplog) -> None:
    store = CheckpointStore(disk.path / "checkpoints", num_to_keep=1)
    tensors = {"weight": torch.zeros(2000)}
    store.save(progress(1), tensors)
    disk.fill()
    with caplog.at_level(logging.WARNING):
        store.save(progress(2), tensors)
    assert "No space left on device" in caplog.text
    assert "0 of 1,048,576 bytes are free" in caplog.text
    found = store.latest("job")
    assert found is not None
    assert found[0].epoch == 1
    assert [path.name for path in (disk.path / "checkpoints").iterdir()] == ["epoch000001-step000000000"]
    disk.free()
    store.save(progress(3), tensors)
    found = store.latest("job")
    assert found is not None
    assert found[0].epoch == 3


def test_training_goes_on_while_the_disk_is_full(spec: dict[str, Any], disk: Disk, caplog) -> None:
    with caplog.at_level(logging.WARNING):
        run = train(spec, watch=while_training(disk.fill, disk.free))
    assert "no checkpoint could be written" in caplog.text
    assert caplog.text.count("metrics.jsonl is incomplete") == 1
    undisturbed = train(spec, {"name": "undisturbed"})
    assert run.model.coef_.tolist() == undisturbed.model.coef_.tolist()


def test_a_model_that_finds_no_room_fails_clearly_and_the_same_command_saves_it(
    spec: dict[str, Any], disk: Disk, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(RunFailedError) as raised:
        train(spec, watch=while_training(end=disk.fill))
    message = str(raised.value)
    folder = disk.path / "runs" / "job"
    assert str(folder) in message
    assert "No space left on device; 0 of 1,048,576 bytes are free there" in message
    assert raised.value.exit_code == 1
    kept = tmp_path / "elsewhere" / "job-unsaved"
    assert f"Nothing is lost: the finished model and its result are kept in {kept}" in message
    assert list((folder / "checkpoints").glob("epoch*")), "what was reached is kept"
    assert not list(folder.rglob("*.tmp"))
    disk.free()
    steps: list[int] = []
    real = CheckpointStore.save
    monkeypatch.setattr(
        CheckpointStore, "save", lambda store, *a: (steps.append(a[0].step), real(store, *a))[1]
    )
    run = train(spec)
    assert run.result["status"] == "succeeded"
    assert len(steps) == 0, "the last step had its checkpoint, and none is taken again"
    undisturbed = train(spec, {"name": "undisturbed"})
    np.testing.assert_array_equal(run.model.coef_, undisturbed.model.coef_)
    assert LinearModel.load(kept).coef_.tolist() == run.model.coef_.tolist()


def test_an_earlier_model_survives_one_that_finds_no_room(spec: dict[str, Any], disk: Disk) -> None:
    model = train(spec).model
    folder = disk.path / "runs" / "job" / "model"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        model.save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_exact_solver_says_which_statistics_found_no_room(
    spec: dict[str, Any], disk: Disk, caplog
) -> None:
    spec = {**spec, "solver": {"name": "exact"}}
    with pytest.raises(RunFailedError, match=r"statistics\.pending.*No space left.*0 of 1,048,576 bytes"):
        train(spec, watch=while_training(disk.fill, disk.free))
    assert "no checkpoint could be written" in caplog.text
    run = train(spec)
    undisturbed = train(spec, {"name": "undisturbed"})
    np.testing.assert_array_equal(run.model.coef_, undisturbed.model.coef_)


def test_a_run_that_finds_no_room_at_all_is_refused_with_its_folder(spec: dict[str, Any], disk: Disk) -> None:
    disk.fill()
    with pytest.raises(RunFailedError, match=r"folder .*job cannot be written to.*No space left"):
        train(spec)


@pytest.mark.parametrize("inodes", [2, 4, 6, 8])
def test_a_disk_whose_inodes_are_taken_is_said_to_be_so(
    spec: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, inodes: int
) -> None:
    """Bytes are free, and no file can be made."""
    with mounted(tmp_path / "few", f"nr_inodes={inodes}") as few, pytest.raises(RunFailedError) as raised:
        train({**spec, "solver": {"name": "exact"}, "run": {"storage_path": str(few / "runs")}})
    assert f"of {inodes} inodes are free there" in f"{raised.value} {caplog.text}"


def test_a_real_disk_whose_inodes_are_taken_is_said_to_be_so(
    spec: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An ext4 of a few inodes, most of which are its own."""
    with small_disk(tmp_path / "few", "-N", "16") as few, pytest.raises(RunFailedError) as raised:
        train({**spec, "solver": {"name": "exact"}, "run": {"storage_path": str(few / "runs")}})
    assert "of 16 inodes are free there, one a file (df -i)" in f"{raised.value} {caplog.text}"


def test_a_quota_that_is_used_up_is_named_and_the_finished_model_kept(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel of a test machine may have no quotas: what one says is said by the writing of the model."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    real = LinearModel.save

    def refused(model: LinearModel, folder: Any) -> None:
        if "elsewhere" not in str(folder):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(folder))
        real(model, folder)

    monkeypatch.setattr(LinearModel, "save", refused)
    with pytest.raises(RunFailedError, match=r"quota exceeded.*; the quota there is used up") as raised:
        train({**spec, "run": {"storage_path": str(tmp_path / "runs")}})
    assert "bytes are free there" not in str(raised.value)
    assert LinearModel.load(tmp_path / "elsewhere" / "job-unsaved")


def test_a_disk_that_its_kernel_made_read_only_costs_no_finished_model(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As after an error of the device: what is open can be read, and nothing written."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with small_disk(tmp_path / "failing", "-e", "remount-ro") as failing:

        def fail() -> None:
            command = ["mount", "-o", "remount,abort", str(failing)]
            subprocess.run(command, check=False, capture_output=True)
            with pytest.raises(OSError, match="Read-only"):
                (failing / "x").touch()

        with pytest.raises(RunFailedError, match="Read-only file system") as raised:
            train({**spec, "run": {"storage_path": str(failing / "runs")}}, watch=while_training(end=fail))
    kept = tmp_path / "elsewhere" / "job-unsaved"
    assert f"Nothing is lost: the finished model and its result are kept in {kept}" in str(raised.value)
    assert LinearModel.load(kept)


def test_blocks_that_find_no_room_are_not_kept(disk: Disk, caplog) -> None:
    block = Block(np.ones((3, 100)).T, np.ones((1, 100)).T, None, 80)
    cache = BlockCache(0, 1 << 30, disk.path / "mine" / "blocks")
    cache.keep(0, block)
    disk.fill()
    cache.keep(1, block)
    cache.keep(2, block)
    assert [cache.holds(index) for index in range(3)] == [True, False, False]
    assert caplog.text.count("no more blocks are kept") == 1
    kept = cache.get(0, 1)
    assert kept is not None
    assert kept.num_train == 80
