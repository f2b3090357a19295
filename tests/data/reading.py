"""Read and select rows the way a worker does, for the tests of `linreg_dist.data`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from linreg_dist.data.design.columns import Columns, bind_columns
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.rows import DecodedColumns, RowSelection, RowSelector, decode_columns
from linreg_dist.data.source.manifest import Manifest, RowGroup, read_manifest
from linreg_dist.jobspec import DataSpec


@dataclass(frozen=True)
class Opened:
    """A data set bound to a spec."""

    spec: DataSpec
    manifest: Manifest
    columns: Columns

    def tables(self) -> Iterator[tuple[RowGroup, pa.Table, DecodedColumns]]:
        """Yield every row group, read and decoded."""
        reader = RowGroupReader(self.manifest, self.columns.to_read, self.columns.dictionaries)
        for group in self.manifest.row_groups:
            table = reader.read(group)
            yield group, table, decode_columns(table, self.columns)

    def selections(self, *, shuffle: bool = False, seed: int = 0) -> Iterator[tuple[pa.Table, RowSelection]]:
        """Yield every row group's table with the rows chosen from it."""
        selector = RowSelector(self.manifest, self.columns, self.spec, shuffle=shuffle, seed=seed)
        for group, table, decoded in self.tables():
            yield table, selector.select(table, decoded, group)

    def values(self, column: str, split: str, **how: Any) -> list[Any]:
        """Return a column's values in the rows of ``split`` ("train" or "validation"), in order."""
        return [
            value
            for table, selection in self.selections(**how)
            for value in table.column(column).take(np.asarray(getattr(selection, split))).to_pylist()
        ]


def open_data_set(path: Path | list[Path], **data: Any) -> Opened:
    """Bind ``data`` (target y, no validation unless it says so) to the files at ``path``."""
    paths = [str(item) for item in path] if isinstance(path, list) else [str(path)]
    spec = DataSpec(path=paths, **{"target": "y", "validation": {"method": "none"}, **data})
    manifest = read_manifest(spec.paths, spec.validation.paths)
    return Opened(spec, manifest, bind_columns(spec, manifest))
