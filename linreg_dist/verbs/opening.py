"""The data of a job before it starts: footers read, columns matched, all of it or a part that is added."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

from linreg_dist.data.design.columns import Columns, bind_columns, key_rules, tell_columns
from linreg_dist.data.source.manifest import Manifest, read_manifest
from linreg_dist.data.source.slices import in_slices
from linreg_dist.data.verify import unreadable_files
from linreg_dist.errors import DataError, SpecError
from linreg_dist.jobspec import JobSpec
from linreg_dist.run.folder import RunFolder
from linreg_dist.verbs.stats import open_statistics


class PartOfData(Collection[str]):
    """The files that a run has read before, and those that are to be added to it, by their keys.

    Args:
        run: the run's folder; one without statistics has read nothing.
        added: files, folders or globs below ``data.path``.
        fresh: whether the run is to start over, so that what it has read before counts no more.

    """

    def __init__(self, run: RunFolder, added: Sequence[str], *, fresh: bool = False) -> None:
        has_read = not fresh and run.has_succeeded and run.statistics.exists()
        consumed = open_statistics(run.path).consumed if has_read else ()
        self._known = frozenset(str(piece["file"]) for piece in consumed)
        self._added = tuple(added)
        self._unseen = set(added)

    def __contains__(self, key: object) -> bool:
        """Return whether the file with this key is to be read."""
        text = str(key)
        found = [pattern for pattern in self._added if _is_below(text, pattern)]
        self._unseen.difference_update(found)
        return bool(found) or text in self._known

    def __iter__(self) -> Iterator[str]:
        """Yield the keys that are known."""
        return iter(self._known)

    def __len__(self) -> int:
        """Return how many keys are known."""
        return len(self._known)

    def require_found(self, spec: JobSpec) -> None:
        """See that each of the added names has a file.

        Raises:
            DataError: names those that have none.

        """
        if self._unseen:
            raise DataError(
                f"there is no Parquet file at {', '.join(sorted(self._unseen))} below data.path "
                f"{', '.join(spec.shown_paths())}; expected a file, a folder or a glob, as in month=3"
            )


def _is_below(key: str, pattern: str) -> bool:
    """Return whether a file is what a pattern names, or lies in a folder that it names."""
    wanted = pattern.strip("/")
    folders = key.split("/")
    tops = ("/".join(folders[:depth]) for depth in range(1, len(folders) + 1))
    depth = wanted.count("/")
    return any(
        top == wanted or (top.count("/") == depth and fnmatch.fnmatchcase(top, wanted)) for top in tops
    )


def read_part(
    spec: JobSpec, folder: RunFolder, add: Sequence[str], *, fresh: bool
) -> tuple[Manifest, Columns]:
    """Read the footers of what the run in a folder has read before and of what is added; see `read_data`.

    Raises:
        SpecError: the data is a table, whose versions say what is new.
        DataError: as `read_data`, or nothing is there to add.

    """
    part = PartOfData(folder, add, fresh=fresh)
    try:
        manifest, columns = read_data(spec, part)
    except DataError:
        part.require_found(spec)
        raise
    if manifest.tables:
        raise SpecError(
            f"--add names files below data.path, and {', '.join(spec.shown_paths())} is a {manifest.format} "
            "table, whose versions say what is new; use --if-changed update or --update instead"
        )
    part.require_found(spec)
    return manifest, columns


def read_data(spec: JobSpec, keys: Collection[str] | None = None) -> tuple[Manifest, Columns]:
    """Read the footers and match the spec's columns with them.

    Args:
        spec: the job.
        keys: of the files to read; None for all.

    Raises:
        DataError: nothing there, not Parquet, a missing column or a wrong type.

    """
    manifest = _read_manifest(spec, keys=keys)
    if spec.data.on_bad_file == "skip":
        manifest = _without_damaged_files(spec, manifest, keys)
    columns = bind_columns(spec.data, manifest)
    tell_columns(columns, manifest)
    return in_slices(manifest, columns.to_read), columns


def _read_manifest(
    spec: JobSpec,
    leave_out: Mapping[str, str] = MappingProxyType({}),
    keys: Collection[str] | None = None,
) -> Manifest:
    return read_manifest(
        spec.data.paths,
        spec.data.validation.paths,
        table_format=spec.data.format,
        version=spec.data.version,
        skip_bad=spec.data.on_bad_file == "skip",
        filter_dnf=spec.data.filter_dnf,
        text_keys=key_rules(spec.data),
        leave_out=leave_out,
        keys=keys,
    )


def _without_damaged_files(spec: JobSpec, manifest: Manifest, keys: Collection[str] | None) -> Manifest:
    """Return the manifest without files that have a whole footer and are damaged within.

    Whether such a file counts must not depend on when it is found out, so all are read before the job starts.
    """
    names = bind_columns(spec.data, manifest).to_read
    damaged = unreadable_files(in_slices(manifest, names), names)
    return _read_manifest(spec, damaged, keys) if damaged else manifest
