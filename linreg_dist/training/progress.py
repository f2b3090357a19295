"""``metrics.jsonl``: a line per epoch, and a tick now and then in between.

One file is both the record and the progress display: the driver follows it, wherever the worker runs.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

TICK_EVERY_S = 1.0


class MetricsLog:
    """Appends to ``metrics.jsonl``.

    Args:
        path: the file, started anew (an attempt that resumes writes the finished epochs again), or None on
            workers that write nothing.

    """

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("w", buffering=1) if path else None
        self._last_tick = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def line(self, document: dict[str, Any]) -> None:
        """Write one line."""
        if self._file:
            self._file.write(json.dumps(document) + "\n")

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
