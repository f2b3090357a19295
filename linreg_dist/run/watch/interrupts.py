"""Interrupting what the main thread is at: by a scheduler's notice to stop, and by whoever finds that it must
not go on.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from linreg_dist.errors import LinregDistError
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_INSIST_EVERY_S = 5.0
_TELL_AFTER = 3  # interrupts

_noticed = threading.Event()  # this process was told to stop; set in a signal handler


@contextmanager
def stop_notice_interrupts() -> Iterator[None]:
    """Let a scheduler's or Ray's notice to stop (SIGTERM) interrupt the ``with`` block as Ctrl-C does.

    A run then ends with a result, to be continued, and a batch takes its jobs with it. Whatever is found gone
    from then on is no news: the job server's supervisor ends with the job that it stops.
    """
    if threading.current_thread() is not threading.main_thread():  # only there can handlers be set
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        _noticed.set()
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        _noticed.clear()


def stop_when_closed(descriptor: int) -> None:
    """Tell this process to stop when a pipe closes, because the process at its other end is gone.

    No signal tells of a parent that was killed. What is read is thrown away.

    Args:
        descriptor: of the pipe; no Python file, whose lock a reading thread would hold when Python ends.

    """

    def watch() -> None:
        while os.read(descriptor, 1 << 16):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="stop-when-closed", daemon=True).start()


@contextmanager
def unblocked_interrupts() -> Iterator[None]:
    """Let SIGINT arrive in the ``with`` block, if that is on the main thread.

    Ray blocks SIGINT in all its processes, and what they start is born so: in a submitted job Ctrl-C, and all
    that interrupts as it does, would never arrive.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def interrupt_main_thread() -> None:
    """Raise KeyboardInterrupt in the main thread, as far as its signal handlers do.

    A true signal, because `_thread.interrupt_main` does not wake a thread that waits for a lock. A job that a
    shell script put in the background is born with SIGINT ignored; the command line handles SIGTERM alike.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(signal.getsignal(number)):
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            return
    logger.error("the main thread cannot be interrupted: neither SIGINT nor SIGTERM has a handler")


class Interruption:
    """Ends a ``with`` block from another thread, for a reason. Made by `interruptible`."""

    def __init__(self) -> None:
        self._reason: LinregDistError | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._in_main_thread = threading.current_thread() is threading.main_thread()

    @property
    def reason(self) -> LinregDistError | None:
        """What the block was ended for, None if nothing has asked for it."""
        return self._reason

    def because(self, reason: LinregDistError) -> None:
        """End the block with ``reason``, unless it is over, or another reason or a notice came first."""
        with self._lock:
            if self._over.is_set() or self._reason is not None or _noticed.is_set():
                return
            self._reason = reason
        if not self._in_main_thread:  # Python interrupts no other
            logger.error("%s. Only the main thread can be interrupted: it goes on", reason)
            return
        threading.Thread(target=self._insist, name="interrupt", daemon=True).start()

    def close(self) -> None:
        """Interrupt no more."""
        with self._lock:
            self._over.set()

    def _insist(self) -> None:
        # What is interrupted may wait in its own cleaning up for a thread that blocks.
        for times in itertools.count():
            with self._lock:
                if self._over.is_set():
                    return
                interrupt_main_thread()
            if times == _TELL_AFTER:
                logger.error("%s\nThis process does not react to being interrupted; end it", self._reason)
            self._over.wait(_INSIST_EVERY_S)


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """Let other threads end the ``with`` block, which must be on the main thread.

    Raises:
        LinregDistError: the reason that `Interruption.because` was given.

    """
    interruption = Interruption()
    try:
        try:
            yield interruption
        finally:
            interruption.close()
    except KeyboardInterrupt as error:
        if interruption.reason is not None:
            raise interruption.reason from error
        raise
