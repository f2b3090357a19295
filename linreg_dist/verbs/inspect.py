"""`inspect`: what a Parquet data set is like, and what would make it train faster; from the footers alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from linreg_dist import limits
from linreg_dist.data.capacity import decoded_nbytes
from linreg_dist.data.design.columns import columns_left_out
from linreg_dist.data.design.types import is_numeric, is_string
from linreg_dist.data.source.files import absolute_paths
from linreg_dist.data.source.footers import describe_chunks, read_footer
from linreg_dist.data.source.manifest import Manifest, read_manifest
from linreg_dist.data.source.slices import ENORMOUS_BYTES
from linreg_dist.documents import ColumnLayout, Inspection, RowGroupSizes
from linreg_dist.wording.names import some_names

_SMALL_GROUP, _LARGE_GROUP = 4 << 20, 256 << 20
_FEW_GROUPS = 8
_SAMPLED_FILES = 32
_FOOTER_THREADS = 16


def inspect(data: str | Sequence[str]) -> Inspection:
    """Describe Parquet files.

    Args:
        data: file, folder, glob, URI, or a list of those.

    Returns:
        Sizes, row groups, columns and advice. Bytes of the data set are those on disk, of row groups decoded
        and at least, of columns uncompressed. Encodings, codecs and nulls are those of at most 32 files.

    Raises:
        DataError: nothing there, or not Parquet.
    """
    paths = [data] if isinstance(data, str) else list(data)
    manifest = read_manifest(absolute_paths(paths))
    # A column of few values takes less on disk than in memory, and nothing but memory counts here.
    sizes = sorted(max(group.num_bytes, decoded_nbytes(manifest, group)) for group in manifest.row_groups)
    rows = sorted(group.num_rows for group in manifest.row_groups)
    columns = _columns(manifest)
    return Inspection(
        files=len(manifest.files),
        rows=manifest.num_rows,
        num_bytes=sum(file.size for file in manifest.files),
        row_groups=RowGroupSizes(
            count=len(sizes),
            rows_median=rows[len(rows) // 2],
            bytes_median=sizes[len(sizes) // 2],
            bytes_max=sizes[-1],
        ),
        columns=columns,
        advice=_advice(manifest, columns, sizes),
        format=manifest.format,
        version=manifest.version,
        tables=manifest.table_documents(),
        skipped_columns=columns_left_out(manifest),
        skipped_files=list(manifest.skipped),
    )


@dataclass
class _Column:
    """What the footers say of one column, so far."""

    name: str
    type: str
    use: str
    nulls: int | None = 0
    encodings: set[str] = field(default_factory=set)
    codec: set[str] = field(default_factory=set)
    num_bytes: int = 0

    def layout(self) -> ColumnLayout:
        return ColumnLayout(
            name=self.name,
            type=self.type,
            use=self.use,
            nulls=self.nulls,
            encodings=sorted(self.encodings),
            codec=sorted(self.codec),
            num_bytes=self.num_bytes,
        )


def _columns(manifest: Manifest) -> list[ColumnLayout]:
    found: dict[str, _Column] = {}
    for each in manifest.schema:
        uses = (is_numeric, "number"), (is_string, "levels"), (pa.types.is_fixed_size_list, "numbers")
        use = next((word for is_kind, word in uses if is_kind(each.type)), "not usable")
        hive = each.name in manifest.partition_types
        found[each.name] = _Column(
            each.name, str(each.type), f"{use}, from the folder's name" if hive else use
        )
    sampled = manifest.files[:_SAMPLED_FILES]
    with ThreadPoolExecutor(_FOOTER_THREADS) as pool:
        footers = list(pool.map(lambda file: (file.uri, read_footer(file.uri)), sampled))
    for file, chunks in zip(sampled, describe_chunks(footers), strict=True):
        own_names = {own: name for name, own in file.stored.items()}
        for chunk in chunks:
            column = found.get(own_names.get(chunk.name, chunk.name))
            if column is None:
                continue
            column.encodings.update(chunk.encodings)
            column.codec.update(chunk.codecs)
            column.num_bytes += chunk.num_bytes
            if column.nulls is None or chunk.nulls is None:
                column.nulls = None
            else:
                column.nulls += chunk.nulls
    return [column.layout() for column in found.values()]


def _advice(manifest: Manifest, columns: list[ColumnLayout], sizes: list[int]) -> list[str]:
    advice = []
    types = {each.name: each.type for each in manifest.schema}
    dictionaries = [
        column.name
        for column in columns
        if pa.types.is_floating(types[column.name])
        and any("DICTIONARY" in encoding for encoding in column.encodings)
    ]
    if dictionaries:
        advice.append(
            f"{len(dictionaries)} column(s) of floating-point numbers are dictionary-encoded "
            f"({some_names(dictionaries, 5)}): if their "
            "values seldom repeat, write them with use_dictionary=False; they decode in less than half the "
            "time"
        )
    unusable = [column.name for column in columns if column.use == "not usable"]
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
            f"the largest row group has {sizes[-1] / 2**20:,.0f} MiB decoded: a worker holds several at a "
            f"time; 8 to 64 MiB are better"
        )
    free = limits.available_memory().free
    if sizes[-1] > free:
        advice.append(
            f"no worker on this machine can hold the largest row group: {free / 2**20:,.0f} MiB are free; "
            f"above {ENORMOUS_BYTES >> 30} GiB decoded it is read in slices; write smaller ones, "
            "row_group_size=1_000_000 for instance"
        )
    nullable = [file for file in manifest.files if any(each.nullable for each in file.schema)]
    no_nulls = [column.name for column in columns if column.nulls == 0 and types[column.name] in _FLOATS]
    if nullable and len(no_nulls) > 1:
        advice.append(
            f"{len(no_nulls)} columns are declared nullable and hold no null: with nullable=False in the "
            f"schema they decode "
            "about half as fast again"
        )
    return advice


_FLOATS = (pa.float32(), pa.float64())
