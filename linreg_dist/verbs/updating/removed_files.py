"""Files that a newer snapshot of a table has removed, found again by the snapshot that still had them.

A table keeps the files of its earlier snapshots until somebody cleans them up (Delta's vacuum, Iceberg's
expiry of snapshots). Until then an update reads their rows once more, to take them away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from linreg_dist.data.source.manifest import Manifest, read_manifest
from linreg_dist.data.tables.resolve import TableInfo
from linreg_dist.documents import TableDocument
from linreg_dist.errors import DataError
from linreg_dist.jobspec import JobSpec
from linreg_dist.solvers.exact.statistics import contents_of
from linreg_dist.stats.artefact import Artefact


@dataclass(frozen=True)
class Removed:
    """The removed files that are still there.

    Attributes:
        manifest: of these files, as they were.
        reason: why others are not among them.

    """

    manifest: Manifest
    reason: str

    @property
    def keys(self) -> set[str]:
        """The keys of the files."""
        return {file.key for file in self.manifest.files}


def earlier_tables(
    earlier: Artefact, spec: JobSpec, manifest: Manifest
) -> list[tuple[TableInfo, TableDocument]]:
    """Return the tables of today, each with every snapshot of it that statistics were made of."""
    shown = spec.shown_names()
    found = []
    for item in earlier.extra.get("tables") or ():
        document = TableDocument.from_json(item)
        kind = document.format, document.role
        like = [table for table in manifest.tables if (table.format, table.role) == kind]
        same = [table for table in like if shown.get(table.path, table.path) == document.path]
        # A table that has moved is known by being the only one.
        found += [(table, document) for table in (same or (like if len(like) == 1 else []))]
    return found


def read_removed(
    tables: Sequence[tuple[TableInfo, TableDocument]], contents: Mapping[str, str], spec: JobSpec
) -> Removed:
    """Read the footers of removed files, in the newest recorded snapshot that has each.

    Args:
        tables: see `earlier_tables`.
        contents: the digest of each file by its key, as the statistics have it.
        spec: for the filter.

    """
    found, reason = Manifest((), ()), "no table is known to have had them"
    for table, document in reversed(tables):
        wanted = contents.keys() - {file.key for file in found.files}
        try:
            part = read_manifest(
                [table.path],
                table_format=table.format,
                version=document.version,
                filter_dnf=spec.data.filter_dnf,
                may_be_empty=True,
                keys=wanted,
            )
        except DataError as error:
            reason = f"{document.text}: {str(error).rstrip('.')}"
            continue
        digests = contents_of(part)
        part = part.only(
            {
                group.index
                for group in part.row_groups
                if _same(digests[key := part.files[group.file].key], contents[key])
            }
        )
        if part.files:
            files = tuple(replace(file, role=document.role) for file in part.files)
            part = replace(part, files=files)
            found = found.followed_by(part) if found.files else part
        reason = f"{document.text} does not have them as they were"
    return Removed(found, reason)


def _same(one: str, other: str) -> bool:
    """Return whether two digests are of equal files; ``#n`` numbers those within one data set."""
    return one.partition("#")[0] == other.partition("#")[0]
