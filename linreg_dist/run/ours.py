"""Ownership of a run's folder, asked before anything in it is overwritten or deleted.

A run's folder is a real folder (no link) that has the marker `MARKER`. Runs of versions that wrote none are
known by files that only this program writes, with valid content: ``checkpoints/identity.json`` or
``result.json``. A ``job.yaml`` says nothing: people have files of that name too.

What is deleted in a run's folder is a file whose name a run writes, one by one. Anything else is somebody's:
it is named, and nothing is deleted.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linreg_dist._version import __version__
from linreg_dist.errors import LinregDistError, SpecError
from linreg_dist.export import is_export
from linreg_dist.run.lock.hold import is_of_lock
from linreg_dist.storage import Location, ObjectPath, kind_of, read_file, remove_tree, write_whole

MARKER = ".linreg_dist-run"
_FORMAT = "linreg_dist.run"
_RAY = ".ray"
_SHOWN = 5
_MARKER_BYTES, _IDENTITY_BYTES, _RESULT_BYTES = 1 << 16, 1 << 16, 64 << 20

_SUMMARY = r"job\.yaml|result\.json|metrics\.jsonl|report\.html|diagnostics\.json"
_WRITTEN = re.compile(
    "|".join(
        (
            re.escape(MARKER),
            _SUMMARY,
            r"statistics(\.pending)?\.safetensors",
            r"covariance\.pending\.safetensors",
            r"tensorboard/events\.out\.tfevents\.[^/]+",
            r"module\.pending\.safetensors",
            r"model/(model\.safetensors|config\.json|README\.md|covariance\.safetensors)",
            rf"history/\d{{4,}}/({_SUMMARY})",
            r"checkpoints/identity\.json",
            r"checkpoints/first_pass/(encoding|lane-\d{4,})\.json",
            r"checkpoints/moments/lane-\d{4,}\.safetensors",
            r"checkpoints/epoch\d{6,}-step\d{9,}/(state\.safetensors|progress\.json)",
        )
    )
)
"""The files of a run by their paths below its folder; exports are known by their formats. A verb that writes
another file names it here."""

_FOLDERS = re.compile(
    r"model|tensorboard|export(/[^/]+)*|history(/\d{4,})?|checkpoints(/(first_pass|moments|epoch\d{6,}-step\d{9,}))?|"
    + re.escape(_RAY)
)

_TEMPORARY_FOLDER = re.compile(r"checkpoints/\.(epoch\d{6,}-step\d{9,})\.tmp(?=/|$)")
_TEMPORARY_FILE = re.compile(r"(^|/)\.([^/]+)\.tmp$")


@dataclass(frozen=True)
class _Entry:
    """Something below a folder: its path below it, its place, and what it is, see `kind_of`."""

    name: str
    place: Location
    kind: str


def is_run_folder(folder: Location) -> bool:
    """Return whether this program made the folder for a run; a link to one is none."""
    if isinstance(folder, Path) and not _is_real_folder(folder):
        return False
    marker = _document(folder / MARKER, _MARKER_BYTES)
    return marker.get("format") == _FORMAT or _is_identity(folder) or _is_result(folder)


def require_usable(folder: Location) -> None:
    """See that a run may be written into a folder: it is a run's already, or empty, or not there yet.

    Raises:
        SpecError: it is something else. The message names what is in it.

    """
    if isinstance(folder, Path):
        try:
            mode = folder.lstat().st_mode
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise SpecError(
                f"{folder} cannot be made: a part of run.storage_path is a file; choose another"
            ) from error
        if not stat.S_ISDIR(mode):
            what = f"{kind_of(mode)} to {folder.resolve()}" if stat.S_ISLNK(mode) else kind_of(mode)
            raise SpecError(
                f"{folder} is {what}; a run needs a folder of its own there, which it makes itself. Choose "
                "another name, or set run.storage_path to where the run is to lie"
            )
    # A driver that begins here at this moment has its lock first, and then the marker.
    begun = (f".{MARKER}.tmp",)
    found = sorted(path.name for path in folder.iterdir() if not is_of_lock(path) and path.name not in begun)
    if found and not is_run_folder(folder):
        raise SpecError(
            f"{folder} is not a run's folder: it holds {_some(found)}. Nothing is written to it, and --fresh "
            "will not delete it. A run lies in <run.storage_path>/<name>, which it makes itself; choose "
            "another name or run.storage_path (--set run.storage_path=runs)"
        )


def mark(folder: Location) -> None:
    """Say in a folder that a run made it. Whoever calls this knows that it is empty, or a run's.

    Raises:
        OSError: it cannot be written to.

    """
    folder.mkdir(parents=True, exist_ok=True)
    if _document(folder / MARKER, _MARKER_BYTES).get("format") != _FORMAT:
        document = {"format": _FORMAT, "version": 1, "made_by": f"linreg_dist {__version__}"}
        write_whole(folder / MARKER, json.dumps(document) + "\n")


def clear(folder: Location) -> None:
    """Delete the files of the run in a folder; its lock, which the caller holds, and its marker stay.

    Raises:
        SpecError: it is no run's folder, or holds files that no run writes. Nothing was deleted.

    """
    require_usable(folder)
    entries = list(_entries(folder))
    foreign = [entry for entry in entries if not _is_written_by_a_run(entry)]
    if foreign:
        shown = [
            f"{entry.name} ({entry.kind})" if entry.kind != "a file" else entry.name for entry in foreign
        ]
        raise SpecError(
            f"{folder} holds what no run writes, and --fresh deletes nothing of it: {_some(shown)}. Move it "
            "elsewhere, or choose another name"
        )
    mark(folder)  # of an older version's run: what is left after a crash is known to be a run's
    # One by one, what is inside a folder first: a file that somebody adds meanwhile keeps its folder.
    for entry in reversed(entries):
        if entry.name == _RAY:
            remove_tree(entry.place)
        elif entry.kind == "a folder":
            if isinstance(entry.place, Path):
                entry.place.rmdir()
        elif entry.name != MARKER:
            entry.place.unlink(missing_ok=True)


def discard(folder: Location, below: str) -> None:
    """Delete the files of a run in one of its own folders, such as checkpoints that are used up.

    What no run writes stays, as does all that cannot be deleted now: it does no harm.
    """
    inside = folder / below
    with suppress(OSError, LinregDistError):
        if not inside.is_dir() or (isinstance(inside, Path) and not _is_real_folder(inside)):
            return
        entries = list(_entries(inside, below + "/"))
        if all(_is_written_by_a_run(entry) for entry in entries):
            remove_tree(inside)
            return
        for entry in entries:
            if entry.kind == "a file" and _is_written_by_a_run(entry):
                entry.place.unlink(missing_ok=True)


def refuse_inputs_inside(folder: Location, inputs: Iterable[tuple[str, str]]) -> None:
    """Refuse a run's folder that holds what the run reads.

    Args:
        folder: the run's.
        inputs: what is read, each with the name it has in messages ("data.path", "the spec").

    Raises:
        SpecError: names the input.

    """
    for what, place in inputs:
        if is_inside(place, folder):
            raise SpecError(
                f"{what} {place} lies in the run's own folder {folder}, where a run overwrites and --fresh "
                "deletes. Keep it elsewhere, or choose another name or run.storage_path"
            )


def is_inside(place: str | Location, folder: Location) -> bool:
    """Return whether a place is a folder, or lies in it; of local paths after all links are followed."""
    if isinstance(folder, ObjectPath):
        base = str(place).partition("?")[0].rstrip("/")
        return base == folder.base or base.startswith(folder.base + "/")
    text = str(place)
    if "://" in text:
        if not text.startswith("file://"):
            return False
        text = text.removeprefix("file://")
    inner, outer = os.path.realpath(text), os.path.realpath(folder)
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def run_around(place: Location) -> Location | None:
    """Return the run's folder that a place lies in, or is; None where it lies in none."""
    below = place.absolute() if isinstance(place, Path) else place
    # Two up reach the run from model/config.json or history/0001/job.yaml's folder.
    for _ in range(3):
        if isinstance(below, ObjectPath) and below.base.count("/") < 3:
            return None
        if is_run_folder(below):
            return below
        below = below.parent
    return None


def _is_real_folder(folder: Path) -> bool:
    try:
        return stat.S_ISDIR(folder.lstat().st_mode)
    except OSError:
        return False


def _is_identity(folder: Location) -> bool:
    """Return whether there is the identity of a run of any version: two hashes."""
    document = _document(folder / "checkpoints" / "identity.json", _IDENTITY_BYTES)
    return set(document) == {"spec", "data"} and all(
        isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) for value in document.values()
    )


def _is_result(folder: Location) -> bool:
    """Return whether there is a result of this program, of a run that succeeded or not."""
    document = _document(folder / "result.json", _RESULT_BYTES)
    versions = document.get("versions")
    return (
        document.get("status") in ("succeeded", "failed", "interrupted")
        and {"name", "solver", "model", "rows", "metrics", "timing", "error"} <= document.keys()
        and isinstance(versions, dict)
        and "linreg_dist" in versions
    )


def _document(place: Location, limit_bytes: int) -> dict[str, Any]:
    """Return a JSON object; an empty one where there is none that can be read."""
    try:
        found = json.loads(read_file(place, limit_bytes))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _entries(folder: Location, below: str = "") -> Iterator[_Entry]:
    """Yield all that is below a folder, a folder before what it holds; not the lock, nor what is Ray's."""
    places: list[Location] = sorted(folder.iterdir(), key=str)
    for place in places:
        name = below + place.name
        if not below and is_of_lock(place):
            continue
        if isinstance(place, Path):
            kind = kind_of(place.lstat().st_mode)
        else:
            kind = "a folder" if place.is_dir() else "a file"
        yield _Entry(name, place, kind)
        if kind == "a folder" and name != _RAY:
            yield from _entries(place, name + "/")


def _is_written_by_a_run(entry: _Entry) -> bool:
    name = _TEMPORARY_FOLDER.sub(r"checkpoints/\1", entry.name)
    if entry.kind != "a file":
        return entry.kind == "a folder" and bool(_FOLDERS.fullmatch(name))
    name = _TEMPORARY_FILE.sub(r"\1\2", name)
    return bool(_WRITTEN.fullmatch(name)) or (
        name.startswith("export/") and is_export(name.removeprefix("export/"))
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
