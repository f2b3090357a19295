"""``metrics.jsonl``: a line per epoch, and a tick now and then in between.

One file is both the record and the progress display: the driver follows it, wherever the worker runs.
"""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from linreg_dist.training.room import describe_room

logger = logging.getLogger(__name__)

TICK_EVERY_S = 1.0


class MetricsLog:
    """Appends to ``metrics.jsonl``.

    Args:
        path: the file, started anew (an attempt that resumes writes the finished epochs again), or None on
            workers that write nothing.

    """

    def __init__(self, path: Path | None) -> None:
        # Unbuffered: a line that a full disk refuses must not come back at the next one, or at the end.
        self._file = path.open("wb", buffering=0) if path else None
        self._path = path
        self._full = False
        self._last_tick = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def line(self, document: dict[str, Any]) -> None:
        """Write one line; one that a full disk refuses is left out, since no run is worth it."""
        if not self._file:
            return
        try:
            self._file.write((json.dumps(document) + "\n").encode())
            self._full = False
        except OSError as error:
            if not self._full and self._path:
                logger.warning("%s is incomplete: %s; %s", self._path, error, describe_room(self._path))
            self._full = True

    def tick_due(self) -> bool:
        """Return whether a tick would be written now; workers that write nothing never say so."""
        return self._file is not None and time.monotonic() - self._last_tick >= TICK_EVERY_S

    def tick(
        self,
        phase: str,
        progress: float,
        *,
        epoch: int | None = None,
        rows: int = 0,
        rows_per_s: float | None = None,
        loss: float | None = None,
        eta_s: float | None = None,
    ) -> None:
        """Write where the job stands: ``progress`` from 0 to 1 over the whole job, ``rows`` done in this
        phase.
        """
        self._last_tick = time.monotonic()
        # `of_epoch` and not `epoch`: a line with the key `epoch` is a finished epoch, a line with `progress`
        # a tick.
        self.line(
            {
                "progress": round(min(max(progress, 0.0), 1.0), 4),
                "phase": phase,
                "of_epoch": epoch,
                "rows": rows,
                "rows_per_s": rows_per_s,
                "loss": loss,
                "eta_s": eta_s,
            }
        )
