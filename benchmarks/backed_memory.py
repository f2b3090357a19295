"""Memory that the hypervisor has already given to this machine.

On a virtual machine with free page reporting (Firecracker, Cloud Hypervisor and others) a page that has been
free for some seconds belongs to the host again, and touching it brings in the host: up to 2 s for a gigabyte
were measured, more than decoding it takes. Where memory has been in use just before, it costs a twentieth.
On a machine of one's own there is no such cost, so a contender that keeps a gigabyte is run both ways.
"""

from __future__ import annotations

import mmap
from types import TracebackType

_PAGE = 4096


class BackedMemory:
    """Holds touched memory until it is entered, and lets go of it then, for what runs inside.

    Args:
        num_bytes: how much.

    """

    def __init__(self, num_bytes: int) -> None:
        self._region = mmap.mmap(-1, max(num_bytes, _PAGE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            self._region.madvise(mmap.MADV_HUGEPAGE)
        for at in range(0, len(self._region), _PAGE):
            self._region[at] = 1

    def __enter__(self) -> None:
        """Free the memory."""
        self._region.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Do nothing."""
