"""Iceberg tables, resolved by PyIceberg (``pyiceberg``) from their metadata files; no catalog is asked."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

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
from linreg_dist.storage import open_filesystem, s3_address, split_query

METADATA_SUFFIX = ".metadata.json"
_NUMBERED = re.compile(r"v?(\d+)[-.].*")


class Iceberg:
    """An Iceberg table: a folder with ``metadata/*.metadata.json``, or one such file."""

    name = "iceberg"
    extra = "iceberg"

    def snapshot(self, path: str, version: int | str | None) -> Snapshot:
        """Resolve a snapshot of an Iceberg table; see `TableFormat`."""
        try:
            from pyiceberg.table import StaticTable
        except ModuleNotFoundError as error:
            raise SpecError(
                f"{path} is an Iceberg table, and reading one needs pyiceberg: pip install "
                "'linreg-dist[iceberg]' (or say data.format: parquet to read every Parquet file in the "
                "folder, live or not)"
            ) from error
        with _errors_of(path):
            table = StaticTable.from_metadata(newest_metadata(path), properties=_properties(path))
            snapshot = _snapshot(path, table, version)
            schema = table.schemas()[snapshot.schema_id] if snapshot.schema_id is not None else table.schema()
            _check_schema(path, schema)
            tasks = list(table.scan(snapshot_id=snapshot.snapshot_id).plan_files())
            constants = _identity_columns(table, schema)
            types = {name: schema.find_field(name) for name in {n for c in constants.values() for n, _ in c}}
            deletes = _Deletes(path)
            files = [self._file(path, task, constants, list(types), deletes) for task in tasks]
            arrow = schema.as_arrow()
        return Snapshot(
            format=self.name,
            path=path,
            version=snapshot.snapshot_id,
            files=tuple(sorted(files, key=lambda file: file.key)),
            columns=tuple(_column(table, item) for item in schema.fields),
            partition_types={name: arrow.field(name).type for name in types},
            schema=pa.schema([pa.field(item.name, item.type) for item in arrow]),
        )

    def _file(
        self,
        path: str,
        task: Any,
        constants: dict[int, list[tuple[str, int]]],
        names: list[str],
        deletes: _Deletes,
    ) -> TableFile:
        file = task.file
        if file.file_format.value.upper() != "PARQUET":
            raise DataError(
                f"{file.file_path} of the Iceberg table {path} is {file.file_format.value}; expected Parquet"
            )
        partition: dict[str, Any] = dict.fromkeys(names)
        for name, place in constants.get(file.spec_id, []):
            partition[name] = file.partition[place]
        return TableFile(
            uri=_as_ours(path, file.file_path),
            key=_key(path, file.file_path),
            size=file.file_size_in_bytes,
            partition=partition,
            deleted=deletes.of(file.file_path, task.delete_files),
        )


def newest_metadata(path: str) -> str:
    """Return the metadata file of the newest version below a table's folder, or ``path`` if it is one.

    Raises:
        DataError: the folder has none.

    """
    base, _ = split_query(path)
    if base.endswith(METADATA_SUFFIX):
        return base
    filesystem, root = open_filesystem(path)
    folder = f"{root.rstrip('/')}/metadata"
    names = [
        posixpath.basename(info.path)
        for info in filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
        if info.path.endswith((METADATA_SUFFIX, ".gz.metadata.json"))
    ]
    numbered = [(int(found[1]), name) for name in names if (found := _NUMBERED.fullmatch(name))]
    if not numbered:
        raise DataError(f"{path}/metadata holds no {METADATA_SUFFIX} file; expected an Iceberg table")
    newest = max(numbered)[0]
    several = sorted(name for number, name in numbered if number == newest)
    if len(several) > 1:
        raise DataError(
            f"{path} has {len(several)} metadata files of version {newest} ({', '.join(several)}), and only "
            "its catalog knows which one counts; name one of them in data.path"
        )
    return f"{base.rstrip('/')}/metadata/{several[0]}"


def _snapshot(path: str, table: Any, version: int | str | None) -> Any:
    known = {snapshot.snapshot_id: snapshot for snapshot in table.snapshots()}
    current = table.current_snapshot()
    if current is None:
        raise DataError(f"the Iceberg table {path} has no snapshot yet: it holds no rows")
    if version is None:
        return current
    number = as_number(version)
    if number is None:
        log = [(entry.timestamp_ms, entry.snapshot_id) for entry in table.history()]
        number = latest_before(path, str(version), log)
    if number not in known:
        raise DataError(
            f"{path} has no snapshot {number}: expected one of {', '.join(map(str, known))}, or a time; "
            "correct data.version"
        )
    return known[number]


def _check_schema(path: str, schema: Any) -> None:
    for item in schema.fields:
        if getattr(item, "initial_default", None) is not None:
            raise DataError(
                f"column {item.name} of the Iceberg table {path} has the default {item.initial_default} for "
                "rows written before it, which is not supported: rewrite the table's data files"
            )


def _column(table: Any, item: Any) -> TableColumn:
    mapping = table.name_mapping()
    named = {field.field_id: field.names for field in mapping} if mapping is not None else {}
    names: Iterable[str] = named.get(item.field_id) or [item.name]
    return TableColumn(name=item.name, stored_name=next(iter(names)), field_id=item.field_id)


def _identity_columns(table: Any, schema: Any) -> dict[int, list[tuple[str, int]]]:
    """Return, by partition spec, the columns that a partition holds unchanged and their place in its record.

    Files of a table that was migrated from Hive lack these columns.
    """
    found: dict[int, list[tuple[str, int]]] = {}
    ids = {item.field_id: item.name for item in schema.fields}
    for number, spec in table.specs().items():
        found[number] = [
            (ids[item.source_id], place)
            for place, item in enumerate(spec.fields)
            if str(item.transform) == "identity" and item.source_id in ids
        ]
    return found


class _Deletes:
    """Deleted rows of data files, from position delete files and deletion vectors, each read once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._read: dict[str, dict[str, list[Positions]]] = {}

    def of(self, data_file: str, delete_files: Iterable[Any]) -> Positions:
        """Return the deleted rows of a data file, ascending.

        Raises:
            DataError: rows are deleted by value, not by position.

        """
        positions = []
        for delete in delete_files:
            if delete.content.name != "POSITION_DELETES":
                raise DataError(
                    f"{delete.file_path} deletes rows of the Iceberg table {self._path} by their values (an "
                    "equality delete), which is not supported: compact the table (rewrite_data_files) and "
                    "run again"
                )
            if delete.file_path not in self._read:
                self._read[delete.file_path] = self._positions(delete)
            positions += self._read[delete.file_path].get(data_file, [])
        return np.unique(np.concatenate(positions)) if positions else np.empty(0, np.int64)

    def _positions(self, delete: Any) -> dict[str, list[Positions]]:
        filesystem, path = open_filesystem(_as_ours(self._path, delete.file_path))
        kind = delete.file_format.value.upper()
        if kind == "PUFFIN":
            from pyiceberg.table.deletion_vector import deletion_vectors_from_puffin_file
            from pyiceberg.table.puffin import PuffinFile

            with filesystem.open_input_file(path) as source:
                puffin = PuffinFile(source.read())
            vectors = deletion_vectors_from_puffin_file(puffin)
            return {
                vector.referenced_data_file: [np.asarray(vector.to_vector().to_numpy(), np.int64)]
                for vector in vectors
            }
        if kind != "PARQUET":
            raise DataError(
                f"{delete.file_path} of the Iceberg table {self._path} is {kind}; expected Parquet"
            )
        with filesystem.open_input_file(path) as source:
            table = pq.read_table(source, columns=["file_path", "pos"])
        encoded = table["file_path"].combine_chunks().dictionary_encode()
        codes, places = encoded.indices.to_numpy(), table["pos"].to_numpy().astype(np.int64)
        return {name: [places[codes == code]] for code, name in enumerate(encoded.dictionary.to_pylist())}


def _as_ours(path: str, uri: str) -> str:
    """Return the URI of a file of the metadata as our file systems take it, with the table's options.

    A location stands as it is, whatever its scheme: ``%20`` in it is part of the name.
    """
    if uri.startswith("file:"):
        return re.sub("^file:(//)?", "", uri)
    uri = re.sub(r"^s3[an]://", "s3://", uri)
    return uri + split_query(path)[1] if is_uri(uri) and is_uri(path) else uri


def _key(path: str, uri: str) -> str:
    own = split_query(_as_ours(path, uri))[0]
    base = split_query(path)[0]
    if base.endswith(METADATA_SUFFIX):
        base = posixpath.dirname(posixpath.dirname(base))
    base = base.rstrip("/") + "/"
    return own.removeprefix(base)


def _properties(path: str) -> dict[str, str]:
    """Return what PyIceberg's file system has to know besides the usual environment."""
    if not path.startswith("s3://"):
        return {}
    endpoint, region = s3_address(path)
    options = {
        "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        "s3.endpoint": endpoint,
        "s3.region": region,
        "s3.connect-timeout": "5",
        "s3.request-timeout": "10",
    }
    return {name: value for name, value in options.items() if value}


def _errors_of(path: str) -> AbstractContextManager[None]:
    from pyiceberg import exceptions

    ours = (exceptions.ValidationError, exceptions.NotInstalledError, exceptions.ResolveError)
    return errors_of(f"Iceberg table {path}", *ours)
