"""Retryable errors: those of machines and networks, not those of data and programs."""

from __future__ import annotations

import torch
import torch.distributed as dist

from linreg_dist.errors import StorageError

# gloo and NCCL raise plain RuntimeErrors for what they see of the network; these words are in their messages.
_OF_THE_NETWORK = (
    "connection closed by peer",
    "connection reset",
    "connection refused",
    "broken pipe",
    "socket",
    "timed out",
    "timeout",
    "gloo",
    "nccl",
)


def is_infrastructure(error: BaseException | None) -> bool:
    """Return whether an error comes from a machine or the network, so that another attempt may go well.

    Storage that does not answer, a full disk or memory, and a peer that is gone do; a value that does not fit
    and an error of the program do not: they would only be repeated ``run.max_failures`` times.
    """
    import ray.exceptions

    if isinstance(error, OSError | StorageError | MemoryError | torch.OutOfMemoryError | dist.DistError):
        return True
    if isinstance(error, ray.exceptions.RayError):
        return True
    if isinstance(error, RuntimeError):
        message = str(error).lower()
        return any(words in message for words in _OF_THE_NETWORK)
    return False
