"""`Link`: rows on their way to a device that has no room for all of them.

There are two of everything: while the device computes on one part of a step, the next one is copied from
pinned memory on a stream of its own, and the one after that is being put together on the cores.

Shape suffixes: C rows that there is room for, D encoded columns, K targets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import torch

from linreg_dist.training.rows.sweep import Rows


@dataclass(frozen=True)
class Chunk:
    """A part of a step on the device, in tensors that stay where they are.

    Attributes:
        x_CD, y_CK, w_C: the rows; those that are not used have weight 0.

    """

    x_CD: torch.Tensor
    y_CK: torch.Tensor
    w_C: torch.Tensor


class Link:
    """Two chunks on the device, filled in turn.

    Args:
        device: where.
        num_rows: the most rows of a chunk.
        width, targets: D and K.
        dtype: of the rows.
        executor: threads that put rows together; None for this one.

    """

    def __init__(
        self,
        device: torch.device,
        num_rows: int,
        width: int,
        targets: int,
        dtype: torch.dtype,
        executor: Executor | None = None,
    ) -> None:
        self.num_rows = num_rows
        self._slots = [_Slot(device, num_rows, width, targets, dtype) for _ in range(2)]
        self._next, self._executor = 0, executor
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch leaves it untyped

    @property
    def chunks(self) -> list[Chunk]:
        """Both chunks."""
        return [slot.chunk for slot in self._slots]

    def send(self, pieces: Sequence[Rows], use: Callable[[int], None]) -> None:
        """Fill the next chunk and have it used.

        Args:
            pieces: rows on the device or here, no more together than a chunk holds.
            use: launches what is done with the chunk of this number.

        """
        number, self._next = self._next, 1 - self._next
        slot = self._slots[number]
        here = [rows for rows in pieces if rows.x_ND.device.type == "cpu"]
        there = [rows for rows in pieces if rows.x_ND.device.type != "cpu"]
        count = slot.gather(here, self._executor)
        if self._stream is None:
            slot.copy(count)
        else:
            current = torch.cuda.current_stream(slot.device)
            self._stream.wait_event(slot.used)
            with torch.cuda.stream(self._stream):
                slot.copy(count)
                slot.copied.record(self._stream)
            current.wait_event(slot.copied)
        slot.unpack(count, there)
        use(number)
        if self._stream is not None:
            slot.used.record(torch.cuda.current_stream(slot.device))


class _Slot:
    def __init__(
        self, device: torch.device, num_rows: int, width: int, targets: int, dtype: torch.dtype
    ) -> None:
        self.device, self._has_link = device, device.type == "cuda"
        self._sizes = width, targets, 1
        numbers = num_rows * sum(self._sizes)
        self._pinned = torch.empty(numbers, dtype=dtype, pin_memory=self._has_link)
        self._landed = torch.empty(numbers, dtype=dtype, device=device)
        self._columns = [torch.zeros((size, num_rows), dtype=dtype, device=device) for size in self._sizes]
        x_DC, y_KC, w_1C = self._columns
        self.chunk = Chunk(x_DC.t(), y_KC.t(), w_1C[0])
        if self._has_link:
            self.copied = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self.used = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def gather(self, pieces: Sequence[Rows], executor: Executor | None) -> int:
        """Put rows together in pinned memory, column by column, and return how many they are."""
        if self._has_link:
            self.copied.synchronize()  # the copy before has left this memory
        count = sum(len(rows.x_ND) for rows in pieces)
        places, at = [], 0
        columns = _parts(self._pinned, self._sizes, count)
        for rows in pieces:
            end = at + len(rows.x_ND)
            places.append((rows, [part[:, at:end] for part in columns]))
            at = end

        def put(place: tuple[Rows, list[torch.Tensor]]) -> None:
            rows, (x_DN, y_KN, w_1N) = place
            x_DN.copy_(rows.x_ND.t())
            y_KN.copy_(rows.y_NK.t())
            if rows.w_N is None:
                w_1N.fill_(1.0)
            else:
                w_1N[0].copy_(rows.w_N)

        for _ in map(put, places) if executor is None else executor.map(put, places):
            pass
        return count

    def copy(self, count: int) -> None:
        """Copy what was put together to the device, in one piece."""
        numbers = count * sum(self._sizes)
        self._landed[:numbers].copy_(self._pinned[:numbers], non_blocking=True)

    def unpack(self, count: int, there: Sequence[Rows]) -> None:
        """Put the rows that have arrived, and those that were on the device, into the chunk."""
        for whole, part in zip(self._columns, _parts(self._landed, self._sizes, count), strict=True):
            whole[:, :count].copy_(part)
        x_DC, y_KC, w_1C = self._columns
        for rows in there:
            end = count + len(rows.x_ND)
            x_DC[:, count:end].copy_(rows.x_ND.t())
            y_KC[:, count:end].copy_(rows.y_NK.t())
            if rows.w_N is None:
                w_1C[:, count:end].fill_(1.0)
            else:
                w_1C[0, count:end].copy_(rows.w_N)
            count = end
        w_1C[:, count:].zero_()


def _parts(flat: torch.Tensor, sizes: Sequence[int], count: int) -> list[torch.Tensor]:
    """Return the columns of the features, the targets and the weights of ``count`` rows in a flat tensor."""
    parts, at = [], 0
    for size in sizes:
        parts.append(flat[at * count : (at + size) * count].view(size, count))
        at += size
    return parts
