"""What a notice to stop (SIGTERM) does to a command."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_notice_interrupts() -> Iterator[None]:
    """Let a scheduler's or Ray's notice to stop interrupt the ``with`` block as Ctrl-C does.

    A run then ends with a result, to be continued, and a batch takes its jobs with it.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
