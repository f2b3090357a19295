"""The exports of a finished run: the model in the forms that ``outputs.export`` names, in ``export/``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from linreg_dist.errors import LinregDistError
from linreg_dist.export import FORMATS
from linreg_dist.jobspec import JobSpec
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.storage import Location, write_whole
from linreg_dist.wording.secrets import shown
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)


@dataclass(frozen=True)
class RunExports:
    """A run's exports in memory.

    Attributes:
        files: the content of each file by its path below ``export/``.
        places: where each format is, below ``export/``.
        reasons: why a format that was asked for is not there.

    """

    files: Mapping[str, bytes]
    places: Mapping[str, str]
    reasons: Mapping[str, str]

    def write(self, folder: Location) -> None:
        """Write all files below a folder, which is made if need be."""
        for path, content in self.files.items():
            place = folder
            for part in path.split("/"):
                place.mkdir(parents=True, exist_ok=True)
                place = place / part
            write_whole(place, content)


def make_exports(spec: JobSpec, model: LinearModel) -> RunExports:
    """Return the model in each form that a spec asks for; a fault in one costs that one and not the run."""
    files: dict[str, bytes] = {}
    places, reasons = {}, {}
    for name in spec.outputs.export:
        one = FORMATS[name]
        try:
            made = one.files(model)
        except LinregDistError as error:
            logger.warning("outputs.export %s: %s", name, error)
            reasons[name] = str(error)
        except Exception as error:
            logger.error("outputs.export %s failed; the run goes on without it", name, exc_info=True)
            reasons[name] = shown(f"{type(error).__name__}: {error}")
        else:
            places[name] = one.place
            files.update({f"{one.place}/{path}".rstrip("/"): content for path, content in made.items()})
    return RunExports(files, places, reasons)
