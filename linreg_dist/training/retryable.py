"""Retryable errors: those of machines and networks, not those of data and programs."""

from __future__ import annotations

import sys

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
    if isinstance(error, (OSError, StorageError, MemoryError, *_of_libraries())):
        return True
    if isinstance(error, RuntimeError):
        message = str(error).lower()
        return any(words in message for words in _OF_THE_NETWORK)
    return False


def _of_libraries() -> list[type[BaseException]]:
    """Return such errors of torch and Ray; who has not loaded them cannot have met one."""
    found: list[type[BaseException]] = []
    torch, exceptions = sys.modules.get("torch"), sys.modules.get("ray.exceptions")
    if torch is not None:
        found += [torch.OutOfMemoryError, torch.distributed.DistError]
    if exceptions is not None:
        found.append(exceptions.RayError)
    return found
