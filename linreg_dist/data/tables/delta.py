"""Delta tables, resolved by delta-rs (``deltalake``)."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from linreg_dist.data.tables.snapshot import (
    Positions,
    Snapshot,
    TableColumn,
    TableFile,
    as_number,
    errors_of,
    latest_before,
)
from linreg_dist.errors import DataError, SpecError
from linreg_dist.jobspec import is_uri
from linreg_dist.storage import s3_address, split_query

# What a reader must understand, and does here: whatever else a table asks for is refused by name.
_READABLE = frozenset(
    {"deletionVectors", "columnMapping", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"}
)


class Delta:
    """A Delta table: a folder with a ``_delta_log``."""

    name = "delta"
    extra = "delta"

    def snapshot(self, path: str, version: int | str | None) -> Snapshot:
        """Resolve a version of a Delta table; see `TableFormat`."""
        table = self._open(path, version)
        with _errors_of(path):
            self._check_protocol(path, table)
            columns = _columns(table)
            logical = {column.stored_name: column.name for column in columns}
            keys = table.metadata().partition_columns
            schema = pa.schema(table.schema().to_arrow())
            actions = pa.table(table.get_add_actions())
            deleted = _deleted_rows(path, table, actions["path"].to_pylist())
        files = []
        base, query = split_query(path)
        for action in actions.to_pylist():
            name = unquote(action["path"])
            uri = name if is_uri(name) or name.startswith("/") else f"{base.rstrip('/')}/{name}{query}"
            values = action.get("partition") or {}
            files.append(
                TableFile(
                    uri=uri,
                    key=name,
                    size=int(action["size_bytes"]),
                    partition={logical.get(key, key): value for key, value in values.items()},
                    deleted=deleted.get(action["path"], np.empty(0, np.int64)),
                )
            )
        return Snapshot(
            format=self.name,
            path=path,
            version=int(table.version()),
            files=tuple(sorted(files, key=lambda file: file.key)),
            columns=tuple(column for column in columns if column.name not in keys),
            partition_types={key: schema.field(key).type for key in keys},
            schema=schema,
        )

    def _open(self, path: str, version: int | str | None) -> Any:
        try:
            from deltalake import DeltaTable
        except ModuleNotFoundError as error:
            raise SpecError(
                f"{path} is a Delta table, and reading one needs deltalake: pip install 'linreg-dist[delta]' "
                "(or say data.format: parquet to read every Parquet file in the folder, live or not)"
            ) from error
        location, options = split_query(path)[0], _storage_options(path)
        number = as_number(version)
        with _errors_of(path):
            table = DeltaTable(location, storage_options=options)
            if version is None or number == table.version():
                return table
            if number is None:
                history = [(int(entry["timestamp"]), int(entry["version"])) for entry in table.history()]
                number = latest_before(path, str(version), history)
            elif number > table.version():
                raise DataError(
                    f"{path} has no version {number}: its newest is {table.version()}; correct data.version"
                )
            return DeltaTable(location, version=number, storage_options=options)

    def _check_protocol(self, path: str, table: Any) -> None:
        protocol = table.protocol()
        unknown = sorted(set(protocol.reader_features or ()) - _READABLE)
        if protocol.min_reader_version > 3 or unknown:
            what = f"features {', '.join(unknown)}" if unknown else f"version {protocol.min_reader_version}"
            raise DataError(
                f"{path} asks its readers for {what}, which is not supported; expected a Delta table of "
                f"reader version up to 3 with at most {', '.join(sorted(_READABLE))}: write a copy without it"
            )


def _columns(table: Any) -> list[TableColumn]:
    mode = table.metadata().configuration.get("delta.columnMapping.mode", "none")
    columns = []
    for item in table.schema().fields:
        known = item.metadata or {}
        columns.append(
            TableColumn(
                name=item.name,
                stored_name=known.get("delta.columnMapping.physicalName", item.name)
                if mode != "none"
                else item.name,
                field_id=int(known["delta.columnMapping.id"]) if mode == "id" else None,
            )
        )
    return columns


def _deleted_rows(path: str, table: Any, files: Collection[str]) -> dict[str, Positions]:
    """Return the deleted rows of each file that has some, by the file's path as the log spells it.

    Raises:
        DataError: rows are deleted of a file that is none of ``files``.

    """
    if "deletionVectors" not in (table.protocol().reader_features or ()):
        return {}
    vectors = pa.RecordBatchReader.from_stream(table.deletion_vectors()).read_all()
    root = f"{table.table_uri.rstrip('/')}/"
    found = {}
    for uri, keep in zip(vectors["filepath"].to_pylist(), vectors["selection_vector"], strict=True):
        # Not by the last part alone: files of a converted table are called the same in every folder.
        name = uri.removeprefix(root)
        if name not in files:
            raise DataError(
                f"the Delta table {path} deletes rows of {uri}, which is none of its files; purge the "
                "deletion vectors (REORG TABLE … APPLY (PURGE)) and run again"
            )
        found[name] = np.flatnonzero(~keep.values.to_numpy(zero_copy_only=False)).astype(np.int64)
    return found


def _storage_options(path: str) -> dict[str, str]:
    """Return what delta-rs has to know besides the usual environment, in the names of its object store."""
    if not path.startswith("s3://"):
        return {}
    endpoint, region = s3_address(path)
    options = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": region}
    options |= {"connect_timeout": "5s", "timeout": "30s"}  # of one request, which is made again
    if endpoint.startswith("http://"):
        options["AWS_ALLOW_HTTP"] = "true"
    return {name: value for name, value in options.items() if value}


def _errors_of(path: str) -> AbstractContextManager[None]:
    from deltalake.exceptions import DeltaError

    return errors_of(f"Delta table {path}", DeltaError)
