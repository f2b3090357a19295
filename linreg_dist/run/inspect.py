"""`inspect`: what a Parquet data set is like, and what would make it train faster; from the footers alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from linreg_dist.data.columns import is_numeric, is_string
from linreg_dist.data.manifest import Manifest, read_manifest
from linreg_dist.data.source import open_filesystem
from linreg_dist.storage import retried
from linreg_dist.wording.names import some_names

_SMALL_GROUP, _LARGE_GROUP = 4 << 20, 256 << 20
_FEW_GROUPS = 8
_SAMPLED_FILES = 32


def inspect(data: str | Sequence[str]) -> dict[str, Any]:
    """Describe Parquet files.

    Args:
        data: file, folder, glob, URI, or a list of those.

    Returns:
        ``{"files", "rows", "bytes", "row_groups": {"count", "rows_median", "bytes_median", "bytes_max"},
        "columns": [{"name", "type", "use", "nulls", "encodings", "codec", "bytes"}], "advice": [sentence,
        …]}``. Bytes are uncompressed but for ``bytes``. Nulls are None where the files hold no statistics.
        Encodings, codecs and nulls are those of at most 32 files.

    Raises:
        DataError: nothing there, or not Parquet.
    """
    paths = [data] if isinstance(data, str) else list(data)
    manifest = read_manifest([path if "://" in path else os.path.abspath(path) for path in paths])
    sizes = sorted(group.num_bytes for group in manifest.row_groups)
    rows = sorted(group.num_rows for group in manifest.row_groups)
    columns = _columns(manifest)
    return {
        "files": len(manifest.files),
        "rows": manifest.num_rows,
        "bytes": sum(file.size for file in manifest.files),
        "row_groups": {
            "count": len(sizes),
            "rows_median": rows[len(rows) // 2],
            "bytes_median": sizes[len(sizes) // 2],
            "bytes_max": sizes[-1],
        },
        "columns": columns,
        "advice": _advice(manifest, columns, sizes),
    }


def _columns(manifest: Manifest) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for field in manifest.schema:
        use = "number" if is_numeric(field.type) else "levels" if is_string(field.type) else "not usable"
        hive = field.name in manifest.partition_types
        found[field.name] = {
            "name": field.name,
            "type": str(field.type),
            "use": f"{use}, from the folder's name" if hive else use,
            "nulls": 0,
            "encodings": Counter(),
            "codec": Counter(),
            "bytes": 0,
        }
    for file in manifest.files[:_SAMPLED_FILES]:
        _add_footer(file.uri, found)
    for column in found.values():
        column["encodings"] = sorted(column["encodings"])
        column["codec"] = sorted(column["codec"])
    return list(found.values())


def _add_footer(uri: str, found: dict[str, dict[str, Any]]) -> None:
    filesystem, path = open_filesystem(uri)

    def read() -> pq.FileMetaData:
        with filesystem.open_input_file(path) as source:
            return pq.read_metadata(source)

    footer = retried(read, "read", uri)
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            column = found.get(chunk.path_in_schema.split(".")[0])
            if column is None:
                continue
            column["encodings"].update(chunk.encodings)
            column["codec"][chunk.compression] += 1
            column["bytes"] += chunk.total_uncompressed_size
            nulls = (
                chunk.statistics.null_count
                if chunk.is_stats_set and chunk.statistics.has_null_count
                else None
            )
            known = column["nulls"] is not None and nulls is not None
            column["nulls"] = column["nulls"] + nulls if known else None


def _advice(manifest: Manifest, columns: list[dict[str, Any]], sizes: list[int]) -> list[str]:
    advice = []
    types = {field.name: field.type for field in manifest.schema}
    dictionaries = [
        column["name"]
        for column in columns
        if pa.types.is_floating(types[column["name"]])
        and any("DICTIONARY" in encoding for encoding in column["encodings"])
    ]
    if dictionaries:
        advice.append(
            f"{len(dictionaries)} column(s) of floating-point numbers are dictionary-encoded "
            f"({some_names(dictionaries, 5)}): if their "
            "values seldom repeat, write them with use_dictionary=False; they decode in less than half the "
            "time"
        )
    unusable = [column["name"] for column in columns if column["use"] == "not usable"]
    if unusable:
        advice.append(
            f"{some_names(unusable, 5)} cannot be used as features: numbers, booleans and strings can; "
            "convert them when writing"
        )
    median = sizes[len(sizes) // 2]
    if len(sizes) < _FEW_GROUPS and manifest.num_rows > 100_000:
        advice.append(
            f"there are {len(sizes)} row groups: workers and threads share whole ones; write "
            f"row_group_size so that there are at "
            "least 8 for each worker"
        )
    if median < _SMALL_GROUP and manifest.num_rows > 1_000_000:
        advice.append(
            f"the median row group has {median / 2**20:.1f} MiB: each is opened and planned on its own; 8 "
            f"to 64 MiB are better"
        )
    if sizes[-1] > _LARGE_GROUP:
        advice.append(
            f"the largest row group has {sizes[-1] / 2**20:.0f} MiB decoded: a worker holds several at a "
            f"time; 8 to 64 MiB are better"
        )
    nullable = [file for file in manifest.files if any(field.nullable for field in file.schema)]
    no_nulls = [
        column["name"] for column in columns if column["nulls"] == 0 and types[column["name"]] in _FLOATS
    ]
    if nullable and len(no_nulls) > 1:
        advice.append(
            f"{len(no_nulls)} columns are declared nullable and hold no null: with nullable=False in the "
            f"schema they decode "
            "about half as fast again"
        )
    return advice


_FLOATS = (pa.float32(), pa.float64())
