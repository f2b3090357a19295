"""Delta and Iceberg tables for tests behind one small interface, and the rows that their own readers find."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import StaticTable


def random_rows(count: int, seed: int, part: int | None = None) -> pa.Table:
    """Return rows of two features, a target and a column to partition by."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=count), rng.uniform(-5.0, 5.0, count)
    return pa.table(
        {
            "a": a,
            "b": b,
            "y": 1.0 + 2.0 * a - 0.5 * b + rng.normal(size=count),
            "part": pa.array([seed % 3 if part is None else part] * count, pa.int32()),
        }
    )


class Lake(Protocol):
    """A table of either format."""

    format: str
    path: str

    def append(self, rows: pa.Table) -> None:
        """Commit more rows."""

    def overwrite(self, rows: pa.Table) -> None:
        """Commit rows in the place of all others."""

    def delete(self, condition: str) -> None:
        """Commit a deletion of the rows that meet a condition."""

    def versions(self) -> list[int]:
        """Return the snapshots so far, oldest first."""

    def rows(self, version: int | None = None) -> pa.Table:
        """Return the rows of a snapshot as the format's own reader finds them."""


@dataclass
class DeltaLake:
    """A table written by delta-rs."""

    path: str
    partition_by: list[str] = field(default_factory=list)
    format: str = "delta"

    def append(self, rows: pa.Table) -> None:
        options: dict[str, Any] = {"partition_by": self.partition_by} if self.partition_by else {}
        write_deltalake(self.path, rows, mode="append", schema_mode="merge", **options)

    def overwrite(self, rows: pa.Table) -> None:
        write_deltalake(self.path, rows, mode="overwrite", schema_mode="merge")

    def delete(self, condition: str) -> None:
        DeltaTable(self.path).delete(condition)

    def versions(self) -> list[int]:
        return sorted(int(entry["version"]) for entry in DeltaTable(self.path).history())

    def rows(self, version: int | None = None) -> pa.Table:
        return DeltaTable(self.path, version=version).to_pyarrow_table()


@dataclass
class IcebergLake:
    """A table written by PyIceberg."""

    catalog: SqlCatalog
    path: str = ""
    table: Any = None
    format: str = "iceberg"

    def append(self, rows: pa.Table) -> None:
        if self.table is None:
            self.table = self.catalog.create_table("n.t", schema=rows.schema)
            self.path = self.table.location().removeprefix("file://")
        with self.table.update_schema() as update:
            update.union_by_name(rows.schema)
        self.table.append(rows)

    def overwrite(self, rows: pa.Table) -> None:
        self.table.overwrite(rows)

    def delete(self, condition: str) -> None:
        with warnings.catch_warnings():  # where no row meets it
            warnings.simplefilter("ignore", UserWarning)
            self.table.delete(condition)

    def versions(self) -> list[int]:
        return [snapshot.snapshot_id for snapshot in self.table.snapshots()]

    def rows(self, version: int | None = None) -> pa.Table:
        return StaticTable.from_metadata(self.table.metadata_location).scan(snapshot_id=version).to_arrow()


def make_delta(folder: Path) -> DeltaLake:
    """Return a Delta table that has no rows yet."""
    return DeltaLake(str(folder))


def make_iceberg(folder: Path) -> IcebergLake:
    """Return an Iceberg table that has no rows yet; its catalog lies beside it."""
    folder.mkdir(parents=True)
    catalog = SqlCatalog("c", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    catalog.create_namespace("n")
    return IcebergLake(catalog)
