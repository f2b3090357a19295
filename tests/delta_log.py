"""The log of a Delta table written by hand, for what delta-rs reads and does not write."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
from pyroaring import BitMap


def write_log(folder: Path, number: int, actions: Sequence[dict[str, Any]]) -> None:
    log = folder / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    (log / f"{number:020}.json").write_text("\n".join(map(json.dumps, actions)))


def metadata(fields: Sequence[dict[str, Any]], **configuration: str) -> dict[str, Any]:
    return {
        "metaData": {
            "id": "1",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": list(fields)}),
            "partitionColumns": [],
            "configuration": configuration,
            "createdTime": 1,
        }
    }


def add(folder: Path, name: str, table: pa.Table, **more: Any) -> dict[str, Any]:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name, row_group_size=4)
    action = {
        "path": quote(name),
        "partitionValues": {},
        "size": (folder / name).stat().st_size,
        "modificationTime": 1,
    }
    return {"add": action | {"dataChange": True} | more}


def field(name: str, kind: str = "double", **known: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "metadata": known}


def write_vectors(
    folder: Path, files: Mapping[str, tuple[pa.Table, Sequence[int]]], version: int = 0
) -> None:
    """Commit files with deleted rows as deletion vectors, in the place of those of the version before.

    Args:
        folder: the table's; version 0 makes it.
        files: name -> rows and the numbers of those that are deleted.
        version: of the table.

    """
    first = next(iter(files.values()))[0]
    actions: list[dict[str, Any]] = [
        {
            "protocol": {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": ["deletionVectors"],
                "writerFeatures": ["deletionVectors"],
            }
        },
        metadata([field(name) for name in first.schema.names], **{"delta.enableDeletionVectors": "true"}),
    ]
    if version:
        log = (folder / "_delta_log" / f"{version - 1:020}.json").read_text().splitlines()
        before = [action["add"] for action in map(json.loads, log) if "add" in action]
        kept = ("path", "partitionValues", "size", "deletionVector")
        actions = [
            {
                "remove": {key: old[key] for key in kept if key in old}
                | {"deletionTimestamp": 1, "dataChange": True, "extendedFileMetadata": True}
            }
            for old in before
            if old["path"] in files
        ]
    folder.mkdir(parents=True, exist_ok=True)
    for name, (table, deleted) in files.items():
        more: dict[str, Any] = {"stats": json.dumps({"numRecords": table.num_rows})}
        if deleted:
            bitmap = BitMap(deleted).serialize()
            vector = struct.pack("<Iq", 1681511377, 1) + struct.pack("<I", 0) + bitmap
            more["deletionVector"] = {
                "storageType": "i",
                "pathOrInlineDv": z85(vector),
                "sizeInBytes": len(vector),
                "cardinality": len(deleted),
            }
        actions.append(add(folder, name, table, **more))
    write_log(folder, version, actions)


def z85(data: bytes) -> str:
    """Encode bytes, a multiple of four, as Delta writes deletion vectors into its log (ZeroMQ RFC 32)."""
    alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    data += b"\0" * (-len(data) % 4)
    text = ""
    for (number,) in struct.iter_unpack(">I", data):
        text += "".join(alphabet[number // 85**power % 85] for power in (4, 3, 2, 1, 0))
    return text
