"""The part of the data that an update has to read: only what is new, and what is no longer in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from linreg_dist.data.design.columns import Columns, check_types
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.kinds import named_column
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.data.source.slices import in_slices
from linreg_dist.errors import DataError, SpecError
from linreg_dist.jobspec import JobSpec
from linreg_dist.solvers import SOLVERS
from linreg_dist.solvers.exact.statistics import contents_of, schema_of
from linreg_dist.stats.artefact import Artefact, canonical, row_ranges
from linreg_dist.storage import Location, ObjectPath, as_location
from linreg_dist.verbs.stats import open_statistics, statistics_path
from linreg_dist.verbs.updating.removed_files import Removed, earlier_tables, read_removed
from linreg_dist.wording.names import some_names
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_SHOWN = 10


@dataclass(frozen=True)
class Addition:
    """What is added to an earlier run.

    Attributes:
        run: the earlier run's folder.
        statistics: its statistics.
        encoding: how it encoded the columns.
        columns: which column plays which part; the features are the earlier run's.
        manifest: what is new: files, or those row groups of a file that the statistics lack.
        gone: what is in the statistics and no longer part of a table, as it was; None if nothing is.
        dropped: the keys of those files.

    ``statistics`` and ``encoding`` are None where nothing of the earlier data is left, and so all is new.

    """

    run: Location
    statistics: Location | None
    encoding: Encoding | None
    columns: Columns
    manifest: Manifest
    gone: Manifest | None = None
    dropped: frozenset[str] = frozenset()

    @property
    def to_read(self) -> Manifest:
        """What is new, followed by what is gone."""
        return self.manifest if self.gone is None else self.manifest.followed_by(self.gone)

    @property
    def removed(self) -> frozenset[int]:
        """The row groups of `to_read` whose rows are taken away."""
        start = len(self.manifest.row_groups)
        return frozenset() if self.gone is None else frozenset(range(start, len(self.to_read.row_groups)))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to add or to take away."""
        return not self.to_read.row_groups


def plan_update(
    run: str | Path | ObjectPath, spec: JobSpec, manifest: Manifest, columns: Columns
) -> Addition:
    """Compare the files that a spec names with those behind a run's statistics.

    Raises:
        SpecError: the spec has another solver than exact, or reads columns or rows in another way.
        DataError: there are no statistics; a file has changed or is gone since, and is none of a table's, or
            the table's earlier snapshot cannot be read any more.

    """
    earlier, bound = open_statistics(run), columns
    columns = _earlier_features(spec, manifest, columns, earlier)
    _check_spec(run, spec, columns, earlier)
    known = {piece["file"]: piece["content"] for piece in earlier.consumed}
    now = contents_of(manifest)
    gone = sorted(key for key in known if key not in now)
    # "#n" numbers equal files within one data set.
    changed = sorted(
        key for key in known if key in now and now[key].partition("#")[0] != known[key].partition("#")[0]
    )
    dropped = frozenset((*gone, *changed))
    past = earlier_tables(earlier, spec, manifest)
    if past and dropped == known.keys():
        logger.warning("no file behind the statistics of %s is part of the data: all of it is read", run)
        return Addition(as_location(run), None, None, bound, manifest)
    has, old = _row_groups_of(earlier), None
    if dropped:
        removed = read_removed(past, {key: known[key] for key in dropped}, spec)
        _refuse_lost(run, [key for key in gone if key not in removed.keys], "are gone", past, removed)
        _refuse_lost(run, [key for key in changed if key not in removed.keys], "have changed", past, removed)
        files, groups = removed.manifest.files, removed.manifest.row_groups
        held = {group.index for group in groups if _holds(has[files[group.file].key], group.ordinal)}
        old = in_slices(removed.manifest.only(held), columns.to_read)
    new = {
        group.index
        for group in manifest.row_groups
        if (key := manifest.files[group.file].key) in dropped or not _holds(has.get(key, []), group.ordinal)
    }
    return Addition(
        as_location(run),
        statistics_path(run),
        Encoding.from_json(earlier.encodings),
        columns,
        manifest.only(new),
        old,
        dropped,
    )


def _refuse_lost(
    run: str | Path | ObjectPath, lost: list[str], what: str, tables: Sequence[object], removed: Removed
) -> None:
    """Refuse to go on where rows that are to be taken away cannot be read.

    Raises:
        DataError: names the files.

    """
    if not lost:
        return
    message = f"{len(lost)} file(s) behind the statistics of {run} {what}: {some_names(lost, _SHOWN)}. "
    if not tables:
        raise DataError(
            f"{message}An update only adds files: subtract their statistics (linreg-dist stats subtract), or "
            "train again without --update"
        )
    raise DataError(
        f"{message}Their rows are to be taken away, and cannot be read any more ({removed.reason}): train "
        "again without --update"
    )


def _earlier_features(spec: JobSpec, manifest: Manifest, columns: Columns, earlier: Artefact) -> Columns:
    """Return the columns with the features of the earlier run.

    Where the spec names no features, those of the earlier run are meant: files may have brought new columns.

    Raises:
        DataError: a feature is of another kind than it was.

    """
    kinds = Encoding.from_json(earlier.encodings).columns
    names = [column.name for column in kinds]
    named = spec.data.features is not None
    if (named and names != list(columns.features)) or not {*names} <= {*manifest.schema.names}:
        return columns  # which is told apart by its names
    reason = "the run that is added to has no such feature"
    new = dict.fromkeys((name for name in columns.features if name not in names), reason)
    mine = {column.name: column for column in columns.kinds}
    types = {field.name: field.type for field in manifest.schema}
    drafts = [mine.get(name) or named_column(name, types[name], spec.data) for name in names]
    for draft, kind in zip(drafts, kinds, strict=True):
        if draft.kind != kind.kind:
            raise DataError(
                f"the feature {draft.name!r} was {kind.kind} behind the statistics and is {draft.kind} "
                f"(type {types[draft.name]}) in the files of this spec; expected the same: convert the "
                "column of the new files, or train again without --update"
            )
    check_types(drafts, manifest)
    return replace(columns, kinds=tuple(drafts), skipped=columns.skipped | new)


def _check_spec(run: str | Path | ObjectPath, spec: JobSpec, columns: Columns, earlier: Artefact) -> None:
    if not SOLVERS[spec.solver.name].has_statistics or spec.model.loss != "squared":
        raise SpecError(
            f"--update adds to the statistics of the exact solver; found solver.name {spec.solver.name} and "
            f"model.loss {spec.model.loss}, expected exact (or auto) and squared"
        )
    schema = schema_of(spec, columns)
    differing = [
        f"  {key}: {canonical(earlier.schema.get(key))} -> {canonical(schema[key])}"
        for key in schema
        if canonical(earlier.schema.get(key)) != canonical(schema[key])
    ]
    if differing:
        lines = "\n".join(differing)
        raise SpecError(
            f"the statistics of {run} were made in another way than this spec says:\n{lines}\n"
            "Use the spec of that run, or train again without --update"
        )
    if spec.tune is not None and len(earlier.folds) != spec.tune.folds:
        raise SpecError(
            f"the statistics of {run} have {len(earlier.folds)} folds, and tune.folds is {spec.tune.folds}; "
            "set it to the same number, or train again without --update"
        )


def _row_groups_of(artefact: Artefact) -> dict[str, list[tuple[int, int]] | None]:
    """Return the ranges of row groups behind statistics for each file; None means all of them."""
    found: dict[str, list[tuple[int, int]] | None] = {}
    for piece in artefact.consumed:
        ranges, before = row_ranges(piece), found.get(piece["file"], [])
        found[piece["file"]] = None if ranges is None or before is None else [*before, *ranges]
    return found


def _holds(ranges: list[tuple[int, int]] | None, ordinal: int) -> bool:
    return ranges is None or any(start <= ordinal < stop for start, stop in ranges)
