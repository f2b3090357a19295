"""Outputs that would destroy something: an input, a file of another kind, or a part of a run."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from linreg_dist.errors import SpecError
from linreg_dist.run.ours import is_inside, run_around
from linreg_dist.storage import Location, ObjectPath, as_location, open_regular

_MAX_BYTES = 1 << 62


def is_same_file(a: Location, b: Location) -> bool:
    """Return whether two places are one file: by name, by a link, or by another name of the same inode."""
    if isinstance(a, ObjectPath) or isinstance(b, ObjectPath):
        return a == b
    try:
        return os.path.samefile(a, b)
    except OSError:
        return os.path.realpath(a) == os.path.realpath(b)


def refuse_in_run(output: Location, option: str) -> None:
    """Refuse to write into a run's folder what the run has not made.

    Args:
        output: the file or folder to write.
        option: what it was given by, for the message.

    Raises:
        SpecError: it lies in a run's folder; names the run.

    """
    try:
        run = run_around(output)
    except SpecError:  # a store that lets us write there and not look; who may not look destroys no more
        return
    if run is not None:
        raise SpecError(
            f"{option} {output} lies in the folder of the run {run}, whose files belong to the run; choose "
            "another place"
        )


def refuse_over_input(output: Location, data: Sequence[str], files: Sequence[str]) -> None:
    """Refuse a folder of predictions that is, holds or lies in what they are made from.

    Args:
        output: the folder to write into.
        data: what is read, as it was given: files, folders, globs, URIs.
        files: the Parquet files that it stands for.

    Raises:
        SpecError: names both.

    """
    advice = "Predictions would lie among the data, or replace it; choose a folder outside, such as scored"
    for path in data:
        if any(is_inside(output, place) for place in _places(path)):
            raise SpecError(
                f"--output {output} is, or lies in, the data {path} that it is made from. {advice}"
            )
    for path in (*data, *files):
        if is_inside(path, output):
            raise SpecError(f"--output {output} holds the data {path} that it is made from. {advice}")


def refuse_other_files(targets: Sequence[Location], columns: Sequence[str]) -> None:
    """Refuse to overwrite files that are no predictions.

    Args:
        targets: files that exist and would be replaced.
        columns: names of the predictions, of which such a file has one at least.

    Raises:
        SpecError: names the file.

    """
    for target in targets:
        if not _has_predictions(target, columns):
            raise SpecError(
                f"{target} is not a file of predictions (Parquet with a column {columns[0]}), and "
                "--overwrite replaces nothing else; choose another --output, or remove it"
            )


def _places(path: str) -> list[Location]:
    """Return the files and folders that a path or a glob of the data names now."""
    place = as_location(path)
    if isinstance(place, ObjectPath) or os.path.lexists(place):
        return [place]
    return [Path(found) for found in glob.glob(str(place), recursive=True)]


def _has_predictions(target: Location, columns: Sequence[str]) -> bool:
    try:
        if isinstance(target, Path):
            with open_regular(target, _MAX_BYTES) as file:
                names = pq.read_schema(file).names
        else:
            filesystem, path = target.filesystem
            names = pq.read_schema(path, filesystem=filesystem).names
    except (OSError, ValueError):  # pyarrow's errors are of these
        return False
    return any(name in columns or name.startswith("prediction") for name in names)


def place_below(key: str) -> str:
    """Return where below an output the file of an input's key goes.

    A table may have files anywhere, by absolute paths, URIs or ``..``: these lead out of no output.
    """
    path = key.partition("://")[2] if "://" in key else key
    return "/".join(part for part in path.split("/") if part not in ("", ".", ".."))
