"""Slices of enormous row groups, so that nobody has to hold one whole.

A row group is what a file is read by. One of several gigabytes would have one worker read all of it while the
others wait, and need the memory for it. It is therefore planned as several, each some of its rows. What is
enormous depends on the data and on which columns are read, never on the machine: the plan is the same
everywhere.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from linreg_dist.data.capacity import decoded_nbytes
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.data.tables.snapshot import count_between

ENORMOUS_BYTES = 1 << 30  # decoded
SLICE_BYTES = 256 << 20
_BLOCK_VALUE_BYTES = 4  # a number in a block, however narrow it is in the file


def slices_of(
    manifest: Manifest, group: RowGroup, columns: Collection[str], extra_width: int = 0
) -> list[RowGroup]:
    """Return the slices of a row group, or itself where it is not enormous.

    Args:
        manifest: of the row group.
        group: which.
        columns: that are read.
        extra_width: bytes that a row takes beside them.

    """
    row_nbytes = max(
        decoded_nbytes(manifest, group, columns) / group.num_rows, len(columns) * _BLOCK_VALUE_BYTES
    )
    nbytes = int(group.num_rows * (row_nbytes + extra_width))
    if nbytes <= ENORMOUS_BYTES or group.span is not None:
        return [group]
    deleted = manifest.files[group.file].deleted
    start, stop = group.stored or (group.first_row, group.first_row + group.num_rows)
    number = min(-(-nbytes // SLICE_BYTES), stop - start)
    slices, first_row = [], group.first_row
    for i in range(number):
        low = start + i * (stop - start) // number
        high = start + (i + 1) * (stop - start) // number
        num_rows = high - low - count_between(deleted, low, high)
        if num_rows:
            slices.append(
                replace(
                    group,
                    first_row=first_row,
                    num_rows=num_rows,
                    num_bytes=group.num_bytes * num_rows // group.num_rows,
                    span=(low - start, high - start),
                )
            )
        first_row += num_rows
    return slices


def in_slices(manifest: Manifest, columns: Collection[str]) -> Manifest:
    """Return a manifest whose enormous row groups are planned as several; itself where it has none."""
    pieces = [slices_of(manifest, group, columns) for group in manifest.row_groups]
    if all(len(each) == 1 for each in pieces):
        return manifest
    flat = [piece for each in pieces for piece in each]
    return replace(
        manifest,
        row_groups=tuple(replace(piece, index=i) for i, piece in enumerate(flat)),
        ruled_out=frozenset(i for i, piece in enumerate(flat) if piece.index in manifest.ruled_out),
    )
