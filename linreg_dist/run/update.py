"""What a run that adds to an earlier one has to read: only the files that are new."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from linreg_dist.data.columns import Columns
from linreg_dist.data.encoding import Encoding
from linreg_dist.data.manifest import Manifest
from linreg_dist.errors import DataError, SpecError
from linreg_dist.run.statistics import open_statistics, statistics_path
from linreg_dist.spec import JobSpec
from linreg_dist.stats.artefact import Artefact, canonical
from linreg_dist.storage import Location, ObjectPath, as_location
from linreg_dist.training.statistics import contents_of, schema_of

_SHOWN = 10


@dataclass(frozen=True)
class Addition:
    """What is added to an earlier run.

    Attributes:
        run: the earlier run's folder.
        statistics: its statistics.
        encoding: how it encoded the columns.
        manifest: the files that are new.

    """

    run: Location
    statistics: Location
    encoding: Encoding
    manifest: Manifest

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing new."""
        return not self.manifest.row_groups


def plan_update(
    run: str | Path | ObjectPath, spec: JobSpec, manifest: Manifest, columns: Columns
) -> Addition:
    """Compare the files that a spec names with those behind a run's statistics.

    Raises:
        SpecError: the spec has another solver than exact, or reads columns or rows in another way.
        DataError: there are no statistics; a file has changed or is gone since.

    """
    earlier = open_statistics(run)
    _check_spec(run, spec, columns, earlier)
    known = {piece["file"]: piece["content"] for piece in earlier.consumed}
    now = contents_of(manifest)
    gone = sorted(key for key in known if key not in now)
    # "#n" numbers equal files within one data set.
    changed = sorted(
        key for key in known if key in now and now[key].partition("#")[0] != known[key].partition("#")[0]
    )
    for files, what in ((gone, "are gone"), (changed, "have changed")):
        if files:
            raise DataError(
                f"{len(files)} file(s) behind the statistics of {run} {what}: {_some(files)}. An update only "
                "adds files: subtract their statistics (linreg-dist stats subtract), or train again without "
                "--update"
            )
    new = {key for key in now if key not in known}
    return Addition(
        as_location(run),
        statistics_path(run),
        Encoding.from_json(earlier.encodings),
        _only(manifest, new),
    )


def _check_spec(run: str | Path | ObjectPath, spec: JobSpec, columns: Columns, earlier: Artefact) -> None:
    if spec.solver.name not in ("auto", "exact") or spec.model.loss != "squared":
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


def _only(manifest: Manifest, keys: set[str]) -> Manifest:
    """Return the part of a manifest that these files make up."""
    numbers = [number for number, file in enumerate(manifest.files) if file.key in keys]
    place = {number: i for i, number in enumerate(numbers)}
    groups = [group for group in manifest.row_groups if group.file in place]
    return replace(
        manifest,
        files=tuple(manifest.files[number] for number in numbers),
        row_groups=tuple(replace(group, index=i, file=place[group.file]) for i, group in enumerate(groups)),
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
