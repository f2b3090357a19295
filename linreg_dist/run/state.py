"""The state of a run without a model: in progress, interrupted, failed or killed, and how to go on."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from linreg_dist.documents import Tick, Timing
from linreg_dist.errors import LinregDistError, RunFailedError, RunInUseError, SpecError
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.run.folder import FAILED, INTERRUPTED, SUCCEEDED, RunFolder
from linreg_dist.run.lock.hold import STALE_S, lock_at
from linreg_dist.run.lock.on_files import FILE
from linreg_dist.run.lock.owner import Owner, read_owner
from linreg_dist.storage import Location, as_location, is_same_place, read_file
from linreg_dist.wording.events import parse_event
from linreg_dist.wording.numbers import format_duration


def load_model(place: str | Path | Location, *, allow_module: bool = False) -> LinearModel:
    """Return the model in a folder, or in a run's; see `LinearModel.load`.

    Raises:
        SpecError: there is none, and the folder is no run's.
        RunFailedError: the run in the folder has no model; says what became of it and how to go on.
        RunInUseError: it has none yet, because it is in progress.

    """
    try:
        return LinearModel.load(place, allow_module=allow_module)
    except SpecError as error:
        path = as_location(place)
        if isinstance(path, Path) and path.is_file():
            raise SpecError(
                f"{path} is a file; expected the folder of a run or of a model, such as runs/<name>"
            ) from error
        folder = RunFolder(path.parent if path.name == "model" else path)
        told = why_no_model(folder)
        if told is None:
            raise
        raise told from error


def loaded_model(model: LinearModel | str | Path | Location, *, allow_module: bool) -> LinearModel:
    """Return a model that is given, or the one in a folder, ready to predict; see `load_model`.

    Raises:
        SpecError: it is a module of the user's own that may not be imported, or cannot.

    """
    if isinstance(model, LinearModel):
        return model
    loaded = load_model(model, allow_module=allow_module)
    if not loaded.is_linear:  # what cannot predict says so before anything is read or written
        loaded.predict_encoded(np.zeros((1, loaded.encoding.num_encoded)))
    return loaded


def why_no_model(folder: RunFolder) -> LinregDistError | None:
    """Return what to say of a run without a model; None where the folder is no run's, or has succeeded."""
    if not folder.path.is_dir():
        return None
    result = folder.result()
    if not (result or folder.job_yaml.exists()):
        return None
    owner = holder_of(folder.path)
    if owner is not None:
        return RunInUseError(
            f"the run at {folder.path} is in progress and has no model yet{_standing(folder)}. It is run by "
            f"{owner}; ask again when it has ended"
        )
    again = _again(folder)
    if result is None:
        return RunFailedError(
            f"the run at {folder.path} has ended without a result, as one that is killed does"
            f"{_standing(folder)}. To go on from its last checkpoint: {again}"
        )
    message = result.error.message if result.error else "no reason is known"
    if result.status == INTERRUPTED:
        return RunFailedError(
            f"the run at {folder.path} was interrupted and has no model{_standing(folder)}: {message}\n"
            f"To go on from its last checkpoint: {again}"
        )
    if result.status == FAILED:
        return RunFailedError(
            f"the run at {folder.path} has failed and has no model: {message}\n"
            f"When that is mended, run the job again; as it was: {again}"
        )
    return (
        None if result.status == SUCCEEDED else RunFailedError(f"the run at {folder.path}: {result.status}")
    )


def _again(folder: RunFolder) -> str:
    """Return the command that goes on with a run where its folder lies now, which may have been moved."""
    words = ["linreg-dist", "train", str(folder.job_yaml)]
    with suppress(LinregDistError, FileNotFoundError):  # what is wrong with the file, `train` will say
        spec = folder.spec()
        if not is_same_place(RunFolder.of(spec).path, folder.path):
            words += ["--set", f"run.storage_path={folder.path.parent}"]
            words += [] if folder.path.name == spec.name else ["--set", f"name={folder.path.name}"]
    return shlex.join(words)


def timing_of(place: str | Path | Location) -> Timing | None:
    """Return the seconds of the run that a model belongs to; None where it lies in no run's folder."""
    path = as_location(place)
    try:
        result = RunFolder(path.parent if path.name == "model" else path).result()
    except LinregDistError:
        return None
    return result.timing if result is not None and result.status == SUCCEEDED else None


def holder_of(folder: Location) -> Owner | None:
    """Return the driver that works on a run now, as far as can be seen; nothing is written."""
    if not isinstance(folder, Path):
        return lock_at(folder, Owner.this_process()).holder()
    try:
        owner = read_owner(folder / FILE)
        silent_s = time.time() - (folder / FILE).stat().st_mtime
    except OSError:
        return None
    return None if owner is None or owner.is_gone or silent_s > STALE_S else owner


def _standing(folder: RunFolder) -> str:
    """Return how far the run came, in brackets, from the last tick that it wrote."""
    try:
        lines = read_file(folder.metrics_jsonl).splitlines()
    except (OSError, SpecError):
        return ""
    for line in reversed(lines):
        event = parse_event(line)
        if isinstance(event, Tick):
            left = "" if event.eta_s is None else f", {format_duration(event.eta_s)} left"
            return f" ({event.phase or 'training'}, {100 * min(event.progress, 1.0):.0f} %{left})"
    return ""
