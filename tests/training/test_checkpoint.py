from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from linreg_dist.documents import EpochLine
from linreg_dist.jobspec import ModelSpec, SolverSpec
from linreg_dist.solvers import SOLVERS
from linreg_dist.solvers.gradient.optim import PenalisedOptimizer
from linreg_dist.training.checkpoints.checkpoint import CheckpointStore, Progress
from linreg_dist.training.rows.sweep import SweptLinear
from tests.training.problems import random_rows, unit_scale

PROGRESS = Progress(
    epoch=0,
    step=0,
    global_batch_size=32,
    fingerprint="mine",
    epoch_sums=[3.0, 0.1],
    world_size=2,
    history=[EpochLine(epoch=0, train_mse=0.5, validation_mse=None)],
    best=None,
    stale=0,
)


def at(epoch: int, step: int = 0, **changes) -> Progress:
    return dataclasses.replace(PROGRESS, epoch=epoch, step=step, **changes)


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((1, 2), value, dtype=torch.float64), "bias": torch.zeros(1)}


def newest(store: CheckpointStore) -> tuple[int, int] | None:
    found = store.latest("mine")
    return None if found is None else (found[0].epoch, found[0].step)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def test_a_checkpoint_comes_back_bit_for_bit(folder):
    store = CheckpointStore(folder, 2)
    progress = at(3, 7, best=0.1 + 0.2, stale=2, epoch_sums=[1.0 / 3.0, 1e-300])
    store.save(progress, {"weight": torch.tensor([[0.1, 1e-310]], dtype=torch.float64)})
    found, tensors = CheckpointStore(folder, 2).latest("mine")
    assert found == progress
    assert torch.equal(tensors["weight"], torch.tensor([[0.1, 1e-310]], dtype=torch.float64))


def test_without_checkpoints_there_is_none(folder):
    assert CheckpointStore(folder, 2).latest("mine") is None
    folder.mkdir()
    assert CheckpointStore(folder, 2).latest("mine") is None


def test_the_newest_counts_also_past_9_and_99(folder):
    store = CheckpointStore(folder, 10)
    for epoch, step in ((0, 9), (0, 10), (9, 100), (10, 2), (100, 1)):
        store.save(at(epoch, step), weights(epoch))
        assert newest(store) == (epoch, step)


@pytest.mark.parametrize("num_to_keep", [1, 3, 4])
def test_older_ones_are_removed(folder, num_to_keep):
    store = CheckpointStore(folder, num_to_keep)
    for step in range(6):
        store.save(at(0, step), weights(step))
        assert len(list(folder.iterdir())) == min(step + 1, num_to_keep)
        assert newest(store) == (0, step)


@pytest.mark.parametrize(
    "damage", ["truncate", "flip", "no_tensors", "no_progress", "bad_json", "other_fields", "empty_folder"]
)
def test_a_torn_newest_falls_back_to_the_one_before(folder, damage):
    store = CheckpointStore(folder, 2)
    store.save(at(1), weights(1.0))
    store.save(at(2), weights(2.0))
    newest_folder = max(folder.iterdir())
    tensors, progress = newest_folder / "state.safetensors", newest_folder / "progress.json"
    content = tensors.read_bytes()
    if damage == "truncate":
        tensors.write_bytes(content[:-3])
    elif damage == "flip":
        tensors.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "no_tensors":
        tensors.unlink()
    elif damage == "no_progress":
        progress.unlink()
    elif damage == "bad_json":
        progress.write_text(progress.read_text()[:-10])
    elif damage == "other_fields":
        progress.write_text(progress.read_text().replace('"stale"', '"stayle"'))
    else:
        tensors.unlink()
        progress.unlink()
    found, restored = store.latest("mine")
    assert found.epoch == 1
    assert restored["weight"][0, 0] == 1.0


def test_a_checkpoint_that_was_never_finished_does_not_count(folder):
    store = CheckpointStore(folder, 2)
    store.save(at(1), weights(1.0))
    unfinished = folder / ".epoch000002-step000000000.tmp"
    unfinished.mkdir()
    (unfinished / "state.safetensors").write_bytes(b"half")
    assert newest(store) == (1, 0)
    store.save(at(2), weights(2.0))
    assert newest(store) == (2, 0)


def test_checkpoints_of_another_job_are_ignored(folder):
    store = CheckpointStore(folder, 5)
    store.save(at(1), weights(1.0))
    store.save(at(2, fingerprint="other"), weights(2.0))
    assert newest(store) == (1, 0)
    assert store.latest("third") is None


def test_saving_the_same_place_again_replaces_it(folder):
    store = CheckpointStore(folder, 2)
    store.save(at(1), weights(1.0))
    store.save(at(1), weights(5.0))
    assert store.latest("mine")[1]["weight"][0, 0] == 5.0


@pytest.mark.parametrize("num_to_keep", [1, 2])
def test_a_new_checkpoint_outlives_those_ahead_of_it_that_cannot_be_used(folder, num_to_keep):
    """After a fall back the fit is behind checkpoints that are torn or another job's."""
    store = CheckpointStore(folder, num_to_keep)
    for epoch in (8, 9):
        store.save(at(epoch, fingerprint="other"), weights(epoch))
    store.save(at(1), weights(1.0))
    assert newest(store) == (1, 0)
    store.save(at(1, 1), weights(1.5))
    assert newest(store) == (1, 1)
    assert len(list(folder.iterdir())) <= num_to_keep


@pytest.mark.parametrize(
    "name", ["epochs.csv", "epoch", "epoch000001", "epoch000001-step000000000", "epoch000000-step000000001"]
)
def test_pruning_removes_checkpoints_only(folder, name):
    mine = folder / name / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    store = CheckpointStore(folder, 1)
    for step in (2, 3, 4):
        store.save(at(1, step), weights(1.0))
    assert mine.read_text() == "years of work"
    assert newest(store) == (1, 4)
    assert {path.name for path in folder.iterdir()} == {name, "epoch000001-step000000004"}


def test_a_checkpoint_never_replaces_what_is_none(folder, caplog):
    mine = folder / "epoch000001-step000000000" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("years of work")
    CheckpointStore(folder, 1).save(at(1), weights(1.0))
    assert mine.read_text() == "years of work"
    assert "holds more than a checkpoint" in caplog.text


def test_pruning_follows_no_link(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "progress.json").write_text("{}")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "epoch000000-step000000001").symlink_to(elsewhere)
    store = CheckpointStore(folder, 1)
    store.save(at(1), weights(1.0))
    store.save(at(2), weights(1.0))
    assert (elsewhere / "progress.json").exists()


SETTINGS = [
    ("sgd", {}),
    ("sgd", {"momentum": 0.9}),
    ("adam", {}),
    ("adamw", {}),
    ("rmsprop", {}),
    ("rmsprop", {"momentum": 0.5}),
]


@pytest.mark.parametrize(("name", "solver"), SETTINGS)
def test_a_restored_optimizer_goes_on_as_if_nothing_had_happened(folder, name, solver):
    rows = random_rows(50, 2, seed=4)
    spec = SolverSpec(name=name, **solver)

    def start():
        model = SweptLinear(2, 1, unit_scale(2, 1))
        optimizer = PenalisedOptimizer(
            model,
            spec,
            ModelSpec(l2=0.1),
            torch.zeros(1, dtype=torch.float64),
            rule=SOLVERS[name].rule(spec),
            is_proximal=SOLVERS[name].is_proximal(spec),
            learning_rate=0.05,
            total_steps=20,
        )
        return model, optimizer

    def steps(model, optimizer, numbers):
        for number in numbers:
            model.zero_grad(set_to_none=False)
            model([rows]).backward()
            model.normalise_gradients()
            optimizer.step(number)

    model, optimizer = start()
    steps(model, optimizer, range(7))
    store = CheckpointStore(folder, 1)
    store.save(at(0, 7), {**model.linear.state_dict(), **optimizer.tensors()})
    steps(model, optimizer, range(7, 20))

    _, tensors = store.latest("mine")
    resumed, again = start()
    resumed.linear.load_state_dict({key: tensors[key] for key in ("weight", "bias")})
    again.restore(tensors)
    steps(resumed, again, range(7, 20))
    assert torch.equal(resumed.linear.weight, model.linear.weight)
    assert torch.equal(resumed.linear.bias, model.linear.bias)
