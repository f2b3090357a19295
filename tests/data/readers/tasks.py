"""Tasks that a reader process can import, for the tests of `linreg_dist.data.readers`."""

from __future__ import annotations

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from linreg_dist.errors import DataError


@dataclass(frozen=True)
class Task:
    """Row group 0 says about the process, others do what ``does`` says, until ``marker`` is there."""

    does: str = "square"
    marker: Path | None = None

    def open(self):
        return self

    def __call__(self, index: int):
        if index == 0:
            return {
                "pid": os.getpid(),
                "modules": {name for name in ("torch", "ray", "matplotlib", "numba") if name in sys.modules},
                "environment": dict(os.environ),
            }
        if self.does == "refuse":
            raise DataError(f"row group {index} is bad")
        if self.does == "raise":
            raise KeyError(index)
        if self.does == "print":
            print("noise on stdout")
        if self.does == "wait":
            time.sleep(600)
        first = self.marker is not None and not self.marker.exists()
        if self.does == "die always" or (self.does == "die once" and first):
            if self.marker:
                self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.does == "stop once" and first:
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return index * index
