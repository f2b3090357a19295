"""The manifest: files, row groups and schemas of a job, read from the footers once by the driver.

The manifest is small, holds no data, and everything a worker does is planned from it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from linreg_dist.data.filter.pushdown import Question, ask_file, possible_groups
from linreg_dist.data.schema import in_order, union_schema
from linreg_dist.data.source.files import FoundFile, FoundFiles, KeyRule
from linreg_dist.data.source.footers import length_of, parse_footer, read_footer
from linreg_dist.data.tables.resolve import TableInfo, find_data
from linreg_dist.data.tables.snapshot import Positions, content_digest, count_between, stored_columns
from linreg_dist.documents import SkippedFile, TableDocument
from linreg_dist.errors import DataError
from linreg_dist.jobspec import Condition
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

Role = Literal["train", "validation"]
_SHOWN = 10
_Footer = tuple[pq.FileMetaData, pa.Schema, str, Question | bool]
_FOOTER_THREADS = 16  # footers are latency, not work: object stores answer many at once


@dataclass(frozen=True)
class ParquetFileInfo:
    """One file of the data set.

    Attributes:
        uri, key, size: as in `FoundFile`.
        num_rows: rows, deleted ones not counted.
        partition: the values of hive keys or of a table's partition columns.
        schema: its columns, by the names that the data set has for them.
        role: whether its rows are split by the spec's rule or all validate.
        footer_sha256: of its footer; of a table's file also of its column names and deleted rows.
        stored: its own name of each column that is called otherwise in the file.
        deleted: deleted rows of the file, ascending.

    """

    uri: str
    key: str
    size: int
    num_rows: int
    partition: dict[str, Any]
    schema: pa.Schema
    role: Role
    footer_sha256: str
    stored: dict[str, str] = field(default_factory=dict)
    deleted: Positions = field(default_factory=lambda: np.empty(0, np.int64), compare=False)


@dataclass(frozen=True)
class RowGroup:
    """The unit of reading: ``ordinal`` of file number ``file``, whose first row is ``first_row`` of that
    file; deleted rows are not counted.

    An enormous row group is several of these, see `slices`.

    Attributes:
        index, file, ordinal, first_row, num_rows, num_bytes: see above.
        stored: the rows of the file that the row group has, half-open, deleted ones counted; None where the
            file has no deleted rows.
        span: of a slice, its rows within the row group, half-open, deleted ones counted.

    """

    index: int
    file: int
    ordinal: int
    first_row: int
    num_rows: int
    num_bytes: int
    stored: tuple[int, int] | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Manifest:
    """All files and row groups of a job, in a stable order; row group ``i`` has ``index == i``.

    Attributes:
        files, row_groups: all of them.
        partition_types: types of the hive keys and partition columns.
        tables: the Delta and Iceberg tables among the data.
        skipped: what looks like data and is not read.
        ruled_out: row groups of which the filter keeps no row, as is known without reading them. They stay in
            the plan, so that it does not depend on what statistics the files have.
        whole: the schema of the data set that these files are a part of; None if they are all of it.

    """

    files: tuple[ParquetFileInfo, ...]
    row_groups: tuple[RowGroup, ...]
    partition_types: dict[str, pa.DataType] = field(default_factory=dict)
    tables: tuple[TableInfo, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    ruled_out: frozenset[int] = frozenset()
    whole: pa.Schema | None = None

    @property
    def num_rows(self) -> int:
        """Rows in all files, whatever their role."""
        return sum(group.num_rows for group in self.row_groups)

    def role(self, group: RowGroup) -> Role:
        """Return whether the rows of ``group`` are split by the spec's rule or all validate."""
        return self.files[group.file].role

    @cached_property
    def schema(self) -> pa.Schema:
        """Every column that a file with rows has, by its widest type, followed by the hive keys.

        The columns of a table come first, in its order.
        """
        if self.whole is not None:
            return self.whole
        filled = [file.schema for file in self.files if file.num_rows]
        schemas = filled or [file.schema for file in self.files] or [table.schema for table in self.tables]
        union = union_schema(schemas, self.partition_types)
        return in_order(union, (table.schema for table in self.tables))

    @property
    def format(self) -> str:
        """``parquet``, or the format of the table that is trained on."""
        return next((table.format for table in self.tables if table.role == "train"), "parquet")

    @property
    def version(self) -> int | None:
        """The snapshot of the table that is trained on; None for files, and for several tables."""
        versions = [table.version for table in self.tables if table.role == "train"]
        return versions[0] if len(versions) == 1 else None

    def table_documents(self, shown: Mapping[str, str] = MappingProxyType({})) -> list[TableDocument]:
        """Return the tables as documents name them.

        Args:
            shown: what to call a path, where that differs.

        """
        return [
            TableDocument(
                format=table.format,
                path=shown.get(table.path, table.path),
                version=table.version,
                role=table.role,
            )
            for table in self.tables
        ]

    @property
    def digest(self) -> str:
        """A sha256 that changes when a file is added, removed, renamed or rewritten.

        It covers the footers, which hold each column chunk's length and usually its extremes; a rewrite that
        leaves all of these as they were is not noticed.
        """
        lines: list[list[Any]] = [[file.key, file.size, file.role, file.footer_sha256] for file in self.files]
        lines += [[table.format, table.version] for table in self.tables]
        return hashlib.sha256(json.dumps(lines, separators=(",", ":")).encode()).hexdigest()

    def where(self, group: RowGroup) -> str:
        """Name a row group for a message."""
        rows = "" if group.span is None else f", rows {group.span[0]:,} to {group.span[1]:,}"
        return f"{self.files[group.file].uri} (row group {group.ordinal}{rows})"

    def count_row_groups(self, indices: Collection[int] | None = None) -> int:
        """Return how many row groups of files these are, all unless given; the slices of one count once."""
        groups = self.row_groups if indices is None else [self.row_groups[index] for index in indices]
        return len({(group.file, group.ordinal) for group in groups})

    def only(self, indices: Collection[int]) -> Manifest:
        """Return the part that these row groups make up; its columns are those of the whole."""
        groups = [group for group in self.row_groups if group.index in indices]
        place = {number: i for i, number in enumerate(sorted({group.file for group in groups}))}
        return replace(
            self,
            whole=self.schema,
            files=tuple(self.files[number] for number in place),
            row_groups=tuple(
                replace(group, index=i, file=place[group.file]) for i, group in enumerate(groups)
            ),
            ruled_out=frozenset(i for i, group in enumerate(groups) if group.index in self.ruled_out),
        )

    def followed_by(self, other: Manifest) -> Manifest:
        """Return the files of this one and then those of ``other``, as one data set of this one's tables."""
        files, groups = len(self.files), len(self.row_groups)
        return replace(
            self,
            whole=union_schema([self.schema, other.schema], {}),
            files=self.files + other.files,
            row_groups=self.row_groups
            + tuple(
                replace(group, index=groups + group.index, file=files + group.file)
                for group in other.row_groups
            ),
            partition_types=other.partition_types | self.partition_types,
            ruled_out=self.ruled_out | {groups + index for index in other.ruled_out},
        )


def read_manifest(
    paths: Sequence[str],
    validation_paths: Sequence[str] = (),
    *,
    table_format: str = "auto",
    version: int | str | None = None,
    skip_bad: bool = False,
    filter_dnf: Sequence[Sequence[Condition]] = (),
    text_keys: Mapping[str, KeyRule] = MappingProxyType({}),
    may_be_empty: bool = False,
    keys: Collection[str] | None = None,
    leave_out: Mapping[str, str] = MappingProxyType({}),
) -> Manifest:
    """Read the footers of every file.

    Args:
        paths: files, folders, globs or URIs to train on.
        validation_paths: the same for data that only validates (``validation: {method: path}``).
        table_format: of ``paths``: auto, parquet, delta or iceberg.
        version: which version of the table to read; None is the current one.
        skip_bad: leave out, and name, files that cannot be read; else they are an error.
        filter_dnf: the filter, which may rule out row groups.
        text_keys: see `find_files`.
        may_be_empty: whether files without any row will do.
        keys: of the files to read; None for all.
        leave_out: files that are known to be unreadable, each with the reason.

    Raises:
        DataError: nothing found, a file is no Parquet or has two columns of one name, or the files hold no
            row at all.

    """
    data, tables = find_data(
        paths, table_format, version, skip_bad=skip_bad, text_keys=text_keys, may_be_empty=may_be_empty
    )
    found, types, skipped = data.files, data.types, data.skipped
    if keys is not None:
        found = [file for file in found if file.key in keys]
    roles: list[Role] = ["train"] * len(found)
    if validation_paths:
        extra, extra_tables = find_data(
            validation_paths, "auto", None, skip_bad=skip_bad, text_keys=text_keys
        )
        _check_apart(data, extra)
        found, types = found + extra.files, types | extra.types
        tables += tuple(replace(table, role="validation") for table in extra_tables)
        skipped = skipped + extra.skipped
        roles += ["validation"] * len(extra.files)
    with ThreadPoolExecutor(max(1, min(_FOOTER_THREADS, len(found)))) as pool:
        read = list(
            pool.map(partial(_footer_or_error, skip_bad=skip_bad, filter_dnf=filter_dnf, types=types), found)
        )
    read = [
        DataError(leave_out[item.uri]) if item.uri in leave_out else footer
        for item, footer in zip(found, read, strict=True)
    ]
    skipped = skipped + [
        SkippedFile(path=item.uri, reason=str(footer))
        for item, footer in zip(found, read, strict=True)
        if isinstance(footer, DataError)
    ]
    _tell_skipped([item for item in skipped if not leave_out or item.path in leave_out])
    footers = [footer for footer in read if not isinstance(footer, DataError)]
    roles = [role for role, footer in zip(roles, read, strict=True) if not isinstance(footer, DataError)]
    found = [item for item, footer in zip(found, read, strict=True) if not isinstance(footer, DataError)]
    files: list[ParquetFileInfo] = []
    questions = [footer[3] for footer in footers if isinstance(footer[3], Question)]
    answers = iter(possible_groups(questions))
    groups: list[RowGroup] = []
    ruled_out: set[int] = set()
    for number, (item, (footer, schema, digest, question), role) in enumerate(
        zip(found, footers, roles, strict=True)
    ):
        possible = next(answers) if isinstance(question, Question) else None if question else frozenset()
        stored: dict[str, str] = {}
        if item.columns is not None:
            stored = stored_columns(item.columns, schema)
            schema = pa.schema([pa.field(name, schema.field(own).type) for name, own in stored.items()])
            digest = content_digest(digest, stored, item.deleted)
        files.append(
            ParquetFileInfo(
                uri=item.uri,
                key=item.key,
                size=item.size,
                num_rows=footer.num_rows - len(item.deleted),
                partition=item.partition,
                schema=schema,
                role=role,
                footer_sha256=digest,
                stored={name: own for name, own in stored.items() if own != name},
                deleted=item.deleted,
            )
        )
        first_row, place = 0, 0
        for ordinal in range(footer.num_row_groups):
            group = footer.row_group(ordinal)
            rows = group.num_rows - count_between(item.deleted, place, place + group.num_rows)
            if rows:
                if possible is not None and ordinal not in possible:
                    ruled_out.add(len(groups))
                stored_rows = (place, place + group.num_rows) if len(item.deleted) else None
                size = group.total_byte_size
                groups.append(RowGroup(len(groups), number, ordinal, first_row, rows, size, stored_rows))
            first_row, place = first_row + rows, place + group.num_rows
    manifest = Manifest(tuple(files), tuple(groups), types, tables, tuple(skipped), frozenset(ruled_out))
    if not may_be_empty and not any(manifest.role(group) == "train" for group in groups):
        raise DataError(
            f"{', '.join(paths)} holds no rows ({len(files)} file(s), all empty); expected at least one "
            "row to train on"
        )
    return manifest


def _tell_skipped(skipped: Sequence[SkippedFile]) -> None:
    """Say on the console what looks like data and is not read."""
    for item in skipped[:_SHOWN]:
        logger.warning("not read: %s: %s", item.path, item.reason)
    if len(skipped) > _SHOWN:
        logger.warning("not read: %d more entries; result.json has all of them", len(skipped) - _SHOWN)


def _check_apart(train: FoundFiles, validation: FoundFiles) -> None:
    """Refuse validation files that also train, and hive keys that are numbers on one side and strings on
    the other.
    """
    known = {file.identity or file.uri: file.uri for file in train.files}
    shared = [file for file in validation.files if (file.identity or file.uri) in known]
    if shared:
        first = shared[0]
        name = known[first.identity or first.uri]
        also = "" if name == first.uri else f" (also called {name})"
        raise DataError(
            f"{first.uri}{also} is in both data.path and data.validation.path ({len(shared)} such file(s)): "
            "a model must not be measured on rows it was trained on; keep the files apart"
        )
    types = train.types
    for name in types.keys() & validation.types.keys():
        if types[name] != validation.types[name]:
            raise DataError(
                f"the hive key {name!r} is {types[name]} in data.path and {validation.types[name]} in "
                f"data.validation.path; "
                "expected the same type: integers in both, or other text in both"
            )


def _footer_or_error(
    found: FoundFile,
    *,
    skip_bad: bool,
    filter_dnf: Sequence[Sequence[Condition]],
    types: dict[str, pa.DataType],
) -> _Footer | DataError:
    try:
        return _read_footer(found, filter_dnf, types)
    except DataError as error:
        if skip_bad:
            return error
        raise


def _read_footer(
    found: FoundFile, filter_dnf: Sequence[Sequence[Condition]], types: dict[str, pa.DataType]
) -> _Footer:
    """Return a file's footer, parsed, its schema, its sha256, and what to ask about its row groups."""
    tail = read_footer(found.uri)
    footer, schema = parse_footer(tail, found.uri)
    doubled = [name for name, times in Counter(schema.names).items() if times > 1]
    if doubled:
        raise DataError(
            f"{found.uri} has {schema.names.count(doubled[0])} columns named {doubled[0]!r}; expected "
            "different names: rename them when writing the Parquet"
        )
    question: Question | bool = True
    if filter_dnf:
        stored = {} if found.columns is None else stored_columns(found.columns, schema)
        own = tail[-length_of(tail) :]
        question = ask_file(own, found.size, schema.names, filter_dnf, found.partition, types, stored)
    return footer, schema, hashlib.sha256(tail[-length_of(tail) :]).hexdigest(), question
