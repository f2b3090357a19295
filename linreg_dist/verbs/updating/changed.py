"""A run whose spec or data has changed since it was made: what the same command does about it."""

from __future__ import annotations

from typing import Literal

from linreg_dist.data.design.columns import Columns
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.errors import DataError, SpecError
from linreg_dist.jobspec import JobSpec
from linreg_dist.run.folder import RunFolder
from linreg_dist.verbs.updating.update import Addition, plan_update
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

IfChanged = Literal["refuse", "update", "fresh"]
"""The way to go on where the run of this name is of another spec or of other data.

``refuse`` says what differs. ``update`` reads only what is new where that is possible, and starts over where
it is not. ``fresh`` starts over. An unfinished attempt at the same job is continued in all three.
"""


def settle_change(
    folder: RunFolder,
    spec: JobSpec,
    manifest: Manifest,
    columns: Columns,
    if_changed: IfChanged,
    *,
    adds: bool = False,
) -> tuple[bool, Addition | None]:
    """Decide how a job goes on in a folder that may hold a run of another spec or of other data.

    Args:
        folder: the run's.
        spec, manifest, columns: the job as it is now.
        if_changed: see `IfChanged`.
        adds: whether the job is asked for to add data to the run that is there.

    Returns:
        Whether to start over, and what to add to the run instead.

    Raises:
        SpecError, DataError: with ``refuse``, why nothing can be added.

    """
    change = folder.change(spec, manifest.digest)
    if change is None or (if_changed == "refuse" and not adds):
        return False, None
    why: object = f"its {change} is another"
    if change == "data" and if_changed != "fresh" and folder.has_succeeded and folder.statistics.exists():
        try:
            return False, plan_update(folder.path, spec, manifest, columns)
        except (SpecError, DataError) as error:
            if if_changed == "refuse":
                raise
            why = error
    elif if_changed == "refuse":
        return False, None
    logger.warning("%s starts over: %s", folder.path, why)
    return True, None
