"""A decoded row group, ready for arithmetic: column-major, training rows first.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data import memory
from linreg_dist.data.columns import Columns
from linreg_dist.data.encoding import Encoding, refuse_overflow
from linreg_dist.data.manifest import Manifest, RowGroup
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.rows import RowSelection, RowSelector, decode_columns
from linreg_dist.errors import DataError
from linreg_dist.spec import DataSpec


@dataclass(frozen=True)
class Shift:
    """What is subtracted from each encoded column (D) and target (K) before it is rounded to the block's
    type.

    Zero unless a column's mean is large against its spread: there float32 would keep the mean and lose the
    spread.
    """

    x_D: npt.NDArray[np.float64]
    y_K: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """The usable rows of one row group.

    Attributes:
        x_ND: (N, D) design matrix less its shift, strides (1, N): each column is contiguous.
        y_NK: (N, K) targets less their shift, strides (1, N).
        w_N: (N,) row weights, or None where all are 1.
        num_train: rows [0, num_train) train, the rest validate.

    """

    x_ND: torch.Tensor
    y_NK: torch.Tensor
    w_N: torch.Tensor | None
    num_train: int

    @property
    def num_rows(self) -> int:
        """N."""
        return int(self.x_ND.shape[0])

    @property
    def nbytes(self) -> int:
        """Memory the block holds."""
        tensors = [self.x_ND, self.y_NK, *([] if self.w_N is None else [self.w_N])]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class BlockBuilder:
    """Reads a row group and encodes it; safe to call from several threads."""

    def __init__(
        self,
        manifest: Manifest,
        columns: Columns,
        data: DataSpec,
        encoding: Encoding,
        shift: Shift,
        *,
        dtype: type[np.floating[Any]],
        shuffle: bool,
        seed: int,
    ) -> None:
        dictionary = list(columns.categorical)
        self._reader = RowGroupReader(manifest, columns.to_read, dictionary)
        self._selector = RowSelector(manifest, columns, data, shuffle=shuffle, seed=seed)
        self._manifest = manifest
        self._columns = columns
        self._encoding = encoding
        self._shift = shift
        self._dtype = np.dtype(dtype)

    @property
    def num_targets(self) -> int:
        """K."""
        return len(self._columns.targets)

    def build(self, group: RowGroup) -> tuple[Block, RowSelection]:
        """Decode, select and encode one row group.

        Raises:
            DataError: unreadable file, a level training did not see, a number beyond the range of the block's
                type, a negative weight.

        """
        table = self._reader.read(group)
        decoded = decode_columns(table, self._columns)
        selection = self._selector.select(table, decoded, group)
        where = self._manifest.where(group)
        num_rows = len(selection.train) + len(selection.validation)
        rows: npt.NDArray[np.int64] | slice = np.concatenate([selection.train, selection.validation])
        if num_rows == table.num_rows and len(selection.validation) == 0 and _is_identity(selection.train):
            rows = slice(None)  # nothing moves: copy straight through instead of gathering
        x_DN = memory.empty((self._encoding.num_encoded, num_rows), self._dtype)
        self._encoding.encode(decoded.numeric, decoded.categorical, rows, x_DN, self._shift.x_D, where)
        y_KN = np.empty((len(self._columns.targets), num_rows), dtype=self._dtype)
        for k, name in enumerate(self._columns.targets):
            values = decoded.numeric[name][rows]
            shift = self._shift.y_K[k]
            with refuse_overflow(name, values, self._dtype, where):
                y_KN[k] = values.astype(np.float64, copy=False) - shift if shift else values
        w_N = None
        if self._columns.weight:
            given = decoded.numeric[self._columns.weight][rows]
            with refuse_overflow(self._columns.weight, given, self._dtype, where):
                weights = given.astype(self._dtype)
            if weights.size and weights.min() < 0:
                raise DataError(
                    f"{where}: the weight column {self._columns.weight!r} has {int((weights < 0).sum()):,} "
                    f"negative values; "
                    "a weight must be zero or more. Filter those rows out or choose another column"
                )
            w_N = torch.from_numpy(weights)
        block = Block(torch.from_numpy(x_DN).t(), torch.from_numpy(y_KN).t(), w_N, len(selection.train))
        return block, selection


def _is_identity(rows: npt.NDArray[np.int64]) -> bool:
    return bool(rows.size == 0 or (rows[0] == 0 and rows[-1] == rows.size - 1 and (np.diff(rows) == 1).all()))
