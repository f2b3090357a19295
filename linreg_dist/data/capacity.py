"""Memory that rows take once they are decoded, and memory that this process can still have.

A footer says how many rows a row group has. Its bytes say little, because a column of one repeated value
takes some bytes on disk however long it is. So what a job needs is counted in rows, and what cannot fit is
refused before it is tried: else the kernel ends the process, with nothing said.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from linreg_dist import limits
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.errors import LimitError

_CODE_BYTES = 4.0  # of a text that is read as a number into a dictionary
_USABLE_SHARE = 0.8  # of what is free, for what is held at a time

_ALWAYS_TRIED_BYTES = 256 << 20  # what is free changes from moment to moment


def value_nbytes(kind: pa.DataType) -> float:
    """Return the bytes that one value of a column takes at least when it is decoded."""
    if pa.types.is_dictionary(kind):
        return _CODE_BYTES
    try:
        return max(float(kind.bit_width), 1.0) / 8.0
    except ValueError:  # texts, lists, maps
        return _CODE_BYTES


def decoded_nbytes(manifest: Manifest, group: RowGroup, columns: Iterable[str] | None = None) -> int:
    """Return the bytes that a row group takes at least when it is decoded.

    Args:
        manifest: of the row group.
        group: which.
        columns: those that are read; None means all that are in the file.

    """
    schema = manifest.files[group.file].schema
    wanted = schema.names if columns is None else [name for name in columns if name in schema.names]
    width = sum(value_nbytes(schema.field(name).type) for name in wanted)
    return int(group.num_rows * width)


def at_once(num_bytes: int, most: int) -> int:
    """Return how many things of ``num_bytes`` each may be held at a time, 1 to ``most``."""
    return max(1, min(most, int(limits.available_memory().free * _USABLE_SHARE) // max(num_bytes, 1)))


def require_room(num_bytes: int, what: str, advice: str) -> None:
    """Refuse what this process can never hold.

    Args:
        num_bytes: the bytes that it takes at least.
        what: it, as the subject of the message: ``"a.parquet (row group 0) has 5 rows and"``.
        advice: what to do, for the end of the message.

    Raises:
        LimitError: it cannot be held, whatever the system swaps out. The message names the limit that
            is too low for it; the data may be as good as any.

    """
    if num_bytes <= _ALWAYS_TRIED_BYTES:
        return
    limit = limits.available_memory()
    free = limit.free + (_swap_bytes() if limit.source == limits.MACHINE_MEMORY else 0)
    if num_bytes > free:
        raise LimitError(
            f"{what} takes at least {num_bytes / 2**30:,.1f} GiB of memory, and {limit.source} leaves "
            f"{free / 2**30:,.1f} GiB; {advice}"
        )


def _swap_bytes() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("SwapFree:"))
