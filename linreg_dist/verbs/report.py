"""`report`: the page of a finished run drawn again, or a page that compares several runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from linreg_dist.documents import ReportWritten
from linreg_dist.errors import SpecError
from linreg_dist.run.ending.page import kept_source
from linreg_dist.run.outputs import refuse_in_run
from linreg_dist.storage import Location, ObjectPath, as_location, read_file, write_whole

_MARK = b"linear regression</title>"
_MARK_WITHIN = 16_384
_MOST_BYTES = 256 << 20


def report(runs: Sequence[str | Path | ObjectPath], output: str | Path | ObjectPath) -> ReportWritten:
    """Draw the page of a run, or of several compared, from what is kept in their folders; no data is read.

    Args:
        runs: folders of runs that have succeeded, paths or URIs.
        output: the HTML file to write, a path or a URI; an earlier page is written over, and nothing else.

    Returns:
        What was written.

    Raises:
        SpecError: no run there, too many of them, the same one twice; the output is another kind of file, or
            lies in a run.
        RunFailedError: a run has not succeeded.
        RunInUseError: a run is in progress.
        StorageError: an object store does not answer.

    """
    from linreg_dist.page import MOST_RUNS, build_comparison, build_page, render_page

    if not runs:
        raise SpecError("report needs the folder of a run, such as runs/<name>; several are compared")
    if len(runs) > MOST_RUNS:
        raise SpecError(
            f"report compares at most {MOST_RUNS} runs, and {len(runs)} were given; leave some out"
        )
    place = as_location(output)
    _refuse_other_file(place)
    refuse_in_run(place, "-o")
    sources = [kept_source(run) for run in runs]
    folders = [source.folder for source in sources]
    for folder in folders:
        if folders.count(folder) > 1:
            raise SpecError(f"{folder} was given twice; a comparison needs different runs")
    page = build_page(sources[0]) if len(sources) == 1 else build_comparison(sources)
    html = render_page(page)
    try:
        if isinstance(place, Path):
            place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place, html)
    except OSError as error:
        raise SpecError(f"-o {place} cannot be written: {error.strerror or error}") from error
    return ReportWritten(report=str(place), runs=folders)


def _refuse_other_file(place: Location) -> None:
    """Refuse to write over what is no page of ours."""
    if isinstance(place, Path) and place.is_dir():
        raise SpecError(f"-o {place} is a folder; name the file to write, such as {place / 'report.html'}")
    exists = os.path.lexists(place) if isinstance(place, Path) else place.exists()
    if not exists:
        return
    try:
        begins = read_file(place, _MOST_BYTES)[:_MARK_WITHIN]
    except OSError as error:
        raise SpecError(f"-o {place} exists and cannot be read: {error.strerror or error}") from error
    if _MARK not in begins:
        raise SpecError(
            f"-o {place} exists and is no page of this program; it would be overwritten. Choose another "
            "file, or remove it"
        )
