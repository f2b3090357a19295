"""The tracker of TensorBoard: event files in the run's folder, ``tensorboard/``.

They are written by tensorboardX, which Ray brings; ``tensorboard --logdir runs`` shows them. Of a run on an
object store they are written here first, and put there at the end.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from linreg_dist.documents import EpochLine, ResultDocument
from linreg_dist.jobspec import JobSpec, resolved_yaml
from linreg_dist.storage import Location, ObjectPath, upload_file
from linreg_dist.tracking.tracker import OF_EPOCH, TrackedRun, Tracker

if TYPE_CHECKING:
    from linreg_dist.model.linear_model import LinearModel

FOLDER = "tensorboard"


class TensorBoard(Tracker):
    """Scalars of each epoch, the spec and the result as text."""

    name: ClassVar[str] = "tensorboard"
    needs: ClassVar[tuple[str, ...]] = ("tensorboardX",)

    def __init__(self) -> None:
        self._writer: Any = None
        self._folder: Location | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._epochs = 0

    @classmethod
    def asked(cls, spec: JobSpec) -> Self | None:
        """Return it where ``tracking.tensorboard`` is true."""
        return cls() if spec.tracking.tensorboard else None

    def start(self, run: TrackedRun) -> None:
        """Begin an event file."""
        from tensorboardX import SummaryWriter

        self._folder = run.folder / FOLDER
        if isinstance(self._folder, ObjectPath):
            self._scratch = tempfile.TemporaryDirectory(prefix="linreg_dist-")
        self._writer = SummaryWriter(
            logdir=str(self._folder if self._scratch is None else self._scratch.name)
        )
        spec = resolved_yaml(run.spec, leave_out=("cluster", "tracking"))
        self._writer.add_text("spec", f"```yaml\n{spec}```")
        self._writer.add_text("data", f"{run.rows:,} rows, digest {run.data_digest}")

    def epoch(self, line: EpochLine) -> None:
        """Write the figures of an epoch at its number."""
        self._epochs = line.epoch + 1
        for name in OF_EPOCH:
            value = getattr(line, name)
            if value is not None:
                self._writer.add_scalar(name, value, line.epoch)
        self._writer.flush()

    def finish(self, result: ResultDocument, model: LinearModel | None) -> None:
        """Write the metrics of the model at the step after the last epoch, and close the file."""
        for split in ("train", "validation"):
            found = getattr(result.metrics, split) if result.metrics else None
            for name in ("mse", "rmse", "mae", "r2"):
                value = getattr(found, name) if found is not None else None
                if value is not None:
                    self._writer.add_scalar(f"{split}_{name}", value, self._epochs)
        self._writer.add_text("result", f"```json\n{json.dumps(result.to_json(), indent=2)}\n```")
        self._writer.close()
        if self._scratch is not None and isinstance(self._folder, ObjectPath):
            for path in Path(self._scratch.name).iterdir():
                upload_file(path, self._folder / path.name)
            self._scratch.cleanup()
