"""The watch over Ray's head, without which Ray ends this process by itself, with neither result nor reason.

A driver whose head does not answer waits inside of Ray, where no signal reaches it, for
``RAY_gcs_rpc_server_reconnect_timeout_s`` (60), and is then ended with exit code 1.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from linreg_dist.errors import ClusterError
from linreg_dist.run.watch.interrupts import Interruption
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_PATIENCE_VARIABLE = "RAY_gcs_rpc_server_reconnect_timeout_s"  # as Ray spells it
_RAYS_PATIENCE_S = 60.0
_LOOK_EVERY_S = 2.0
_ANSWER_WITHIN_S = 2.0
# Before Ray's patience ends: time for an orderly end, and for writing the result where there is none.
_INTERRUPT_BEFORE_S = 25.0
_END_BEFORE_S = 10.0


class HeadWatch:
    """Ends the driver in order when the head has been silent for nearly as long as Ray would wait for it.

    A head that comes back in time, as one that keeps its tables in Redis may, is not lost.

    Args:
        address: ``host:port`` of the head.
        last_words: called with the reason where nothing else can be done any more: what the main thread is
            at does not end. The process ends after it.
        patience_s: how long Ray waits for its head.

    """

    def __init__(
        self, address: str, last_words: Callable[[ClusterError], None], patience_s: float | None = None
    ) -> None:
        self.lost: ClusterError | None = None
        self._address = address
        self._last_words = last_words
        if patience_s is None:
            patience_s = float(os.environ.get(_PATIENCE_VARIABLE, _RAYS_PATIENCE_S))
        self._interrupt_after_s = max(patience_s - _INTERRUPT_BEFORE_S, patience_s / 2)
        self._end_after_s = max(patience_s - _END_BEFORE_S, patience_s * 3 / 4)
        self._interruption: Interruption | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        threading.Thread(target=self._watch, name="watch-head", daemon=True).start()

    @contextmanager
    def interrupts(self, interruption: Interruption) -> Iterator[None]:
        """Interrupt the ``with`` block with a `ClusterError` when the head is lost."""
        with self._lock:
            self._interruption = interruption
        try:
            yield
        finally:
            with self._lock:
                self._interruption = None

    def close(self) -> None:
        """Watch no more."""
        with self._lock:  # not while the last words are written
            self._over.set()

    def _watch(self) -> None:
        answered = time.monotonic()
        while not self._over.wait(_LOOK_EVERY_S):
            if self._answers():
                answered = time.monotonic()
                continue
            silent_s = time.monotonic() - answered
            with self._lock:
                if self._over.is_set():
                    return
                if silent_s >= self._interrupt_after_s:
                    self._interrupt(silent_s)
                if silent_s >= self._end_after_s and self.lost is not None:
                    self._end(self.lost)

    def _interrupt(self, silent_s: float) -> None:
        if self.lost is None:
            self.lost = ClusterError(
                f"the head of the Ray cluster at {self._address} has not answered for {silent_s:.0f} s. When "
                "it is back, start the same job again to continue from its last checkpoint"
            )
        if self._interruption is not None:
            self._interruption.because(self.lost)

    def _end(self, reason: ClusterError) -> None:
        logger.error("%s", reason)
        self._last_words(reason)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(reason.exit_code)  # Ray is about to do it without the right exit code

    def _answers(self) -> bool:
        host, _, port = self._address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_WITHIN_S).close()
        except OSError:
            return False
        return True
