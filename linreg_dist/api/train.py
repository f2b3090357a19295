"""`train` with its progress shown: what ``linreg_dist.train`` is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from linreg_dist.api.rows import names_parquet
from linreg_dist.console.live import shown_progress
from linreg_dist.jobspec import JobSpec
from linreg_dist.run.finished_run import Run
from linreg_dist.run.guest import settings_kept
from linreg_dist.run.progress.follow import EventSink
from linreg_dist.storage import ObjectPath
from linreg_dist.tracking.tracker import Tracker
from linreg_dist.verbs.train import Watcher
from linreg_dist.verbs.train import train as run_job
from linreg_dist.verbs.updating.changed import IfChanged


def train(
    spec: str | Path | Mapping[str, Any] | JobSpec,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    *,
    fresh: bool = False,
    verbose: bool = False,
    watch: Watcher | None = None,
    update: str | Path | ObjectPath | None = None,
    if_changed: IfChanged = "refuse",
    add: Sequence[str] = (),
    progress: bool | EventSink = True,
    trackers: Sequence[Tracker] = (),
) -> Run:
    """Run one job and wait for it; `linreg_dist.verbs.train.train` describes the rest and the errors.

    Args:
        spec: a spec file, the same as a dict, or a `JobSpec`. Rows in memory go to `linreg_dist.fit`.
        overrides: ``{"model.l2": 0.1}``, or ``["model.l2=0.1"]`` as on the command line.
        fresh: start over where a run of this name exists.
        verbose: let Ray's log lines through.
        watch: called with the path of metrics.jsonl, returns a context that is open while training goes on.
        update: the folder of an earlier run of the exact solver, to which only what is new is added.
        if_changed, add: for jobs that run again and again, see `linreg_dist.verbs.train.train`.
        progress: True shows it: in a notebook as a line that changes, else on stderr; False shows nothing.
            Anything with a method ``event`` is handed the job's events instead.
        trackers: told of the run beside those of the spec.

    Raises:
        TypeError: ``spec`` is, or names as its data, something that holds rows and is neither path nor spec.
        LinregDistError: as described there.

    """
    _refuse_rows(spec)
    with settings_kept(), _sink(progress) as sink:
        return run_job(
            spec,
            overrides,
            fresh=fresh,
            verbose=verbose,
            watch=watch,
            update=update,
            if_changed=if_changed,
            add=add,
            progress=sink,
            trackers=trackers,
        )


@contextmanager
def _sink(progress: bool | EventSink) -> Iterator[EventSink | None]:
    if isinstance(progress, bool):
        if not progress:
            yield None
            return
        with shown_progress() as display:
            yield display
        return
    yield progress


def _refuse_rows(spec: Any) -> None:
    """Refuse rows where a spec or a path is expected.

    Raises:
        TypeError: points to `fit`.

    """
    if isinstance(spec, JobSpec) or names_parquet(spec):
        return
    if not isinstance(spec, Mapping):
        raise TypeError(
            f"lr.train takes a job spec: a file, a dict or a JobSpec, and got {_kind(spec)}. For rows in "
            'memory use lr.fit(data, target), such as lr.fit(df, "y")'
        )
    section = spec.get("data")
    path = section.get("path") if isinstance(section, Mapping) else None
    if (
        path is not None
        and not isinstance(path, str | Mapping | bool | int | float)
        and not names_parquet(path)
    ):
        if isinstance(path, list | tuple):  # of something else than paths: the spec's own message says so
            return
        raise TypeError(
            f"data.path is {_kind(path)}; expected Parquet files, a folder, a glob or a URI. For rows in "
            'memory use lr.fit(data, target), such as lr.fit(df, "y")'
        )


def _kind(value: Any) -> str:
    kind = type(value)
    return f"a {kind.__name__} of {kind.__module__.partition('.')[0]}"
