"""What another attempt may help against, and what it would only repeat."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from linreg_dist.training.retryable import is_infrastructure


@pytest.mark.parametrize(
    "error",
    [
        OSError(5, "Input/output error"),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("timed out"),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        dist.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp, unhandled system error"),
        dist.DistNetworkError("The client socket has timed out"),
        RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.2]:4711"),
        RuntimeError("[gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 120000ms for recv"),
    ],
)
def test_machines_and_networks_are_worth_a_retry(error: BaseException) -> None:
    assert is_infrastructure(error)


def test_what_ray_reports_of_workers_is_worth_a_retry() -> None:
    import ray.exceptions

    assert is_infrastructure(ray.exceptions.OutOfMemoryError("killed by the memory monitor"))


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError("operands could not be broadcast together"),
        KeyError("x"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (3x4 and 5x6)"),
        AssertionError(),
    ],
)
def test_values_and_programs_are_not(error: BaseException | None) -> None:
    assert not is_infrastructure(error)
