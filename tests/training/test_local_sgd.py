"""What each worker of local SGD has of its own in a checkpoint, and who gets it back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from linreg_dist.solvers.gradient.local_sgd import average_weights, gather_parts, own_part
from linreg_dist.training.worker import Worker


@dataclass(frozen=True)
class Peers(Worker):
    """A worker whose peers' contributions are given, so that an exchange needs no processes."""

    gathered: Callable[[Any], list[Any]] = lambda item: [item]
    summed: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] = lambda values: values

    def gather(self, item: Any) -> list[Any]:
        return self.gathered(item)

    def sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return self.summed(values)


def worker(rank: int, world_size: int) -> Peers:
    return Peers(rank, world_size, "cpu", 1)


def part(rank: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    sums = torch.tensor([10.0 + rank, 0.1 * (rank + 1)], dtype=torch.float64)
    moments = {"optimizer.0.step": torch.tensor(4.0), "optimizer.0.exp_avg": torch.tensor([1.0, 3.0]) * rank}
    return sums, moments if rank != 2 else {}  # rank 2 has seen no row


@pytest.fixture
def checkpoint() -> dict[str, torch.Tensor]:
    everyone = [{"epoch_sums": part(rank)[0], **part(rank)[1]} for rank in range(3)]
    tensors = gather_parts(replace(worker(0, 3), gathered=lambda _: everyone), *part(0))
    return {"weight": torch.zeros(2), **tensors}


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_as_many_workers_get_back_what_is_theirs(checkpoint: dict[str, torch.Tensor], rank: int) -> None:
    found = own_part(checkpoint, worker(rank, 3))
    assert found is not None
    sums, moments = part(rank)
    assert torch.equal(found[0], sums)
    assert found[1].keys() == moments.keys()
    assert all(torch.equal(found[1][name], moments[name]) for name in moments)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_other_numbers_share_the_sums_and_take_the_mean_of_the_moments(checkpoint, world_size: int) -> None:
    parts = [own_part(checkpoint, worker(rank, world_size)) for rank in range(world_size)]
    total = sum(part(rank)[0] for rank in range(3))
    assert all(torch.equal(found[1]["optimizer.0.exp_avg"], torch.tensor([0.5, 1.5])) for found in parts)
    assert all(found[1]["optimizer.0.step"] == 4.0 for found in parts)
    torch.testing.assert_close(sum(found[0] for found in parts), total, rtol=1e-15, atol=0.0)


def test_workers_that_step_together_have_no_parts() -> None:
    assert own_part({"weight": torch.zeros(2), "optimizer.0.step": torch.tensor(1.0)}, worker(0, 2)) is None


def test_weights_are_averaged_by_rows_and_the_wish_of_rank_0_reaches_all() -> None:
    linear = nn.Linear(2, 1).double()
    nn.init.constant_(linear.weight, 3.0)
    nn.init.constant_(linear.bias, 6.0)
    other = np.array([0.0, 0.0, 0.0, 1.0, 1.0])  # weights 0, share 1, and a wish
    here = replace(worker(1, 2), summed=lambda values: values + other)
    mean, wished = average_weights(here, linear, 2.0, wish=False)
    assert wished
    assert mean is not None
    assert mean.tolist() == [2.0, 2.0, 4.0]
    assert linear.weight.tolist() == [[2.0, 2.0]]
    assert linear.bias.tolist() == [4.0]


def test_workers_without_rows_leave_the_weights_alone_and_only_rank_0_may_wish() -> None:
    linear = nn.Linear(2, 1).double()
    before = linear.weight.tolist()
    assert average_weights(worker(1, 2), linear, 0.0, wish=True) == (None, False)
    assert average_weights(worker(0, 2), linear, 0.0, wish=True) == (None, True)
    assert linear.weight.tolist() == before
