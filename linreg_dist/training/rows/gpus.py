"""`Gpus`: the GPUs of this machine, and the one place where the program asks for them.

``LINREG_DIST_REHEARSE_GPU=COUNTxBYTES`` lets the CPU play GPUs with so much memory each: rows are copied as
to a GPU, and all that is done there is done by the same operations, so the way through a GPU can be tested,
and a job tried out, where there is none. ``LINREG_DIST_GPU_MEMORY=BYTES`` keeps rows from taking more of a
GPU that is shared with others. torch is loaded when they are looked for.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass

from linreg_dist.errors import SpecError

VARIABLE = "LINREG_DIST_REHEARSE_GPU"
MEMORY_VARIABLE = "LINREG_DIST_GPU_MEMORY"

_KEPT_FREE = 0.2  # of a GPU's memory, for what is computed there


@dataclass(frozen=True)
class Gpus:
    """The GPUs that this process may use.

    Attributes:
        count: how many; 0 where there is none.
        name: of the first one, for people.
        memory_bytes: of the first one; 0 where there is none.
        device: as torch names the first one: ``cuda``, or ``cpu`` in a rehearsal.
        are_rehearsed: whether the CPU plays their part.

    """

    count: int
    name: str = ""
    memory_bytes: int = 0
    device: str = "cuda"
    are_rehearsed: bool = False

    @classmethod
    def here(cls) -> Gpus:
        """Return those of this machine.

        Raises:
            SpecError: the environment variable cannot be read.

        """
        rehearsed = os.environ.get(VARIABLE)
        if rehearsed:
            found = re.fullmatch(r"(\d+)x(\d+)", rehearsed)
            if found is None:
                raise SpecError(
                    f"{VARIABLE} is {rehearsed!r}; expected a count and bytes of memory, such as 1x2000000000"
                )
            count, memory = int(found[1]), int(found[2])
            return cls(count, "the CPU in a GPU's part", memory, "cpu", are_rehearsed=True)
        import torch

        if not torch.cuda.is_available():
            return cls(0)
        properties = torch.cuda.get_device_properties(0)
        return cls(torch.cuda.device_count(), properties.name, int(properties.total_memory))

    @property
    def scratch_bytes(self) -> int:
        """Memory of a GPU that rows leave for what is computed there."""
        return int(self.memory_bytes * _KEPT_FREE)

    def free_bytes(self, device: str) -> Callable[[], int]:
        """Return a function: the bytes that rows may take on a device of this process, now."""
        most = _most_bytes()
        if self.are_rehearsed:
            return lambda: min(most, int(self.memory_bytes * (1 - _KEPT_FREE)))

        def free() -> int:
            import torch

            free, total = torch.cuda.mem_get_info(torch.device(device))
            return min(most, int(free - _KEPT_FREE * total))

        return free


def _most_bytes() -> int:
    """Return what rows may take of a GPU, however much is free.

    Raises:
        SpecError: the environment variable cannot be read.

    """
    given = os.environ.get(MEMORY_VARIABLE)
    if not given:
        return sys.maxsize
    if not given.isdecimal():
        raise SpecError(f"{MEMORY_VARIABLE} is {given!r}; expected a whole number of bytes")
    return int(given)
