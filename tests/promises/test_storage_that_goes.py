"""Storage that is moved, removed or unmounted while a run is on it is said as such, and not written anew."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from linreg_dist.errors import InterruptedRunError, RunFailedError
from linreg_dist.run.lock.hold import hold_run
from linreg_dist.training.checkpoints.checkpoint import CheckpointStore, Progress
from linreg_dist.verbs.train import train
from tests.parquet import linear_columns, write_parquet
from tests.places import disk, mounted


def move(storage: Path) -> None:
    storage.rename(storage.with_name("elsewhere"))


def replace_by_another(storage: Path) -> None:
    move(storage)
    (storage / "job").mkdir(parents=True)


@pytest.mark.parametrize(
    ("act", "told"), [(move, "its folder is gone"), (replace_by_another, "another folder is in its place")]
)
def test_a_run_whose_folder_was_moved_is_taken_over_by_nobody(
    tmp_path: Path, act: Callable[[Path], None], told: str
) -> None:
    storage = tmp_path / "runs"
    with hold_run(storage / "job") as lock:
        act(storage)
        with pytest.raises(RunFailedError, match="was moved, unmounted or removed") as raised:
            lock.check()
    assert told in str(raised.value)
    assert "driver" not in str(raised.value)


def test_a_run_whose_storage_was_unmounted_says_so(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk, hold_run(disk / "job") as lock:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        with pytest.raises(RunFailedError, match="its folder is gone"):
            lock.check()
    assert list((tmp_path / "disk").iterdir()) == []


def test_no_checkpoint_is_written_where_the_storage_was(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "run" / "checkpoints", num_to_keep=1)
    progress = Progress(
        epoch=1,
        step=0,
        global_batch_size=10,
        fingerprint="job",
        epoch_sums=[0.0],
        world_size=1,
        history=[],
        best=None,
        stale=0,
    )
    store.save(progress, {"weight": torch.zeros(2)})
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_training_on_storage_that_is_moved_ends_and_goes_on_where_it_is_then(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", linear_columns(400, 2))
    storage = tmp_path / "runs"
    spec = {
        "name": "job",
        "data": {"path": str(path), "target": "y"},
        "solver": {"name": "sgd", "epochs": 200_000, "global_batch_size": 32, "early_stop": None},
        "run": {"storage_path": str(storage), "checkpoint_every_s": 0.1},
    }

    @contextmanager
    def moved_meanwhile(_: Any) -> Iterator[None]:
        move(storage)
        yield

    with pytest.raises((RunFailedError, InterruptedRunError), match="was moved, unmounted or removed"):
        train(spec, watch=moved_meanwhile)
    assert not storage.exists()


@pytest.mark.slow
def test_training_on_a_disk_that_is_unmounted_ends_and_writes_nothing_below_its_place(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", linear_columns(400, 2))
    with disk(tmp_path / "disk") as place:
        spec = {
            "name": "job",
            "data": {"path": str(path), "target": "y"},
            "solver": {"name": "sgd", "epochs": 200_000, "global_batch_size": 32, "early_stop": None},
            "run": {"storage_path": str(place / "runs"), "checkpoint_every_s": 0.1},
        }

        @contextmanager
        def unmounted_meanwhile(_: Any) -> Iterator[None]:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
            yield

        with pytest.raises((RunFailedError, InterruptedRunError), match="was moved, unmounted or removed"):
            train(spec, watch=unmounted_meanwhile)
        assert list(place.iterdir()) == []
