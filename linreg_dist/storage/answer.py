"""Requests to a store that may never answer: bounded in time where nothing else is, and interruptible.

Arrow's S3 client has time-outs of its own. Its clients for Google Cloud Storage, Azure and HDFS wait for
minutes, or for ever, within C++ code where no signal reaches Python. So what the main thread asks of a store
is asked by another thread, and the first question to a store has a limit.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from linreg_dist.errors import StorageError
from linreg_dist.wording.secrets import show_uri

T = TypeVar("T")

_BOUNDED_ELSEWHERE = ("s3://", "file://")
_LOOK_EVERY_S = 0.2
_LEAST_S = 10.0

_abandoned = threading.Event()


def has_abandoned() -> bool:
    """Return whether a thread of this process still waits for a store; the process then ends without it."""
    return _abandoned.is_set()


def answered(function: Callable[[], T], where: str, limit_s: float | None) -> T:
    """Return what ``function`` returns.

    Args:
        function: asks a store.
        where: a path or URI; for a local path it is called as it is.
        limit_s: seconds after which the store counts as not answering; None waits on.

    Raises:
        StorageError: there is no answer in time.

    """
    if "://" not in where or where.startswith("file://"):
        return function()
    limit_s = None if limit_s is None or where.startswith(_BOUNDED_ELSEWHERE) else max(limit_s, _LEAST_S)
    if limit_s is None and threading.current_thread() is not threading.main_thread():
        return function()
    return _in_a_thread(function, where, limit_s)


def _in_a_thread(function: Callable[[], T], where: str, limit_s: float | None) -> T:
    results: list[T] = []
    errors: list[BaseException] = []
    context = contextvars.copy_context()
    ended = threading.Event()

    def ask() -> None:
        try:
            results.append(context.run(function))
        except BaseException as error:  # noqa: BLE001 (it is raised again where the answer is waited for)
            errors.append(error)
        finally:
            ended.set()

    # A daemon: the interpreter does not wait for it at exit.
    thread = threading.Thread(target=ask, name=f"ask {show_uri(where)}"[:60], daemon=True)
    thread.start()
    left: float = limit_s if limit_s is not None else float("inf")
    try:
        while not ended.wait(min(_LOOK_EVERY_S, left)):  # in short waits, between which a signal is handled
            left -= _LOOK_EVERY_S
            if left <= 0:
                raise StorageError(_no_answer(where, limit_s))
    except BaseException:
        if not ended.is_set():
            _abandoned.set()
        raise
    if errors:
        raise errors[0]
    return results[0]


def _no_answer(where: str, limit_s: Any) -> str:
    return (
        f"{show_uri(where)} does not answer: nothing came within {limit_s:g} s. Check the address, the "
        "credentials and the network, then run the same command again (LINREG_DIST_STORAGE_RETRY_S says how "
        "many seconds are waited)"
    )
