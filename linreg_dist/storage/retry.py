"""Try again for a while what a store could not do just now, then say so with bucket and key.

The AWS SDK retries each request a few times by itself. What is here goes on above it, so that a store may be
away for longer, and covers what the SDK does not retry, such as a connection that breaks while a body is
read.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from linreg_dist import liveness
from linreg_dist.errors import SpecError, StorageError
from linreg_dist.jobspec import split_query
from linreg_dist.storage.answer import answered
from linreg_dist.wording.secrets import shown, with_templates
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

T = TypeVar("T")

VARIABLE = "LINREG_DIST_STORAGE_RETRY_S"
DEFAULT_S = 60.0
FIRST_QUESTION = "look for"
FINAL_FACTOR = 5.0  # a finished model is worth waiting longer for

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 8.0
_TRANSIENT = re.compile(
    r"NETWORK_CONNECTION|SLOW_?DOWN|THROTTL|SERVICE_UNAVAILABLE|INTERNAL_FAILURE|INTERNAL_ERROR|REQUEST_TIMEOUT|"
    r"HTTP status (?:5\d\d|429)|curlCode|InternalError|ServiceUnavailable|UNAVAILABLE|DEADLINE_EXCEEDED|"
    r"Retry policy exhausted|Connection reset|timed out|Unexpected end of stream|"
    r"was replaced while it was read|Expected to (?:be able to )?read \d+ bytes",
    re.IGNORECASE,
)
_LASTING = re.compile(r"curlCode: (?:3|51|58|60|77|90|91)\b")  # a bad URL or certificate stays bad
_scope: ContextVar[float | None] = ContextVar("patience", default=None)


def patience_s() -> float:
    """Return for how many seconds a store may fail before it is given up.

    Raises:
        SpecError: the environment variable is no number.

    """
    scoped = _scope.get()
    if scoped is not None:
        return scoped
    text = os.environ.get(VARIABLE, "")
    try:
        return float(text) if text else DEFAULT_S
    except ValueError as error:
        raise SpecError(f"{VARIABLE} is {text!r}; expected a number of seconds") from error


@contextmanager
def final_patience() -> Iterator[None]:
    """Wait longer within the block: what it writes is finished work."""
    token = _scope.set(FINAL_FACTOR * patience_s())
    try:
        yield
    finally:
        _scope.reset(token)


@contextmanager
def no_patience() -> Iterator[None]:
    """Do not wait within the block: the job can do without what it writes, or writes it again soon."""
    token = _scope.set(0.0)
    try:
        yield
    finally:
        _scope.reset(token)


def is_transient(error: BaseException) -> bool:
    """Return whether the same request may succeed later."""
    text = str(error)
    return bool(_TRANSIENT.search(text)) and not _LASTING.search(text)


def retried(function: Callable[[], T], doing: str, where: str) -> T:
    """Return what ``function`` returns, called again while a store fails for a passing reason.

    Args:
        function: one attempt, which begins from the start.
        doing: the verb of the messages: read, write, list, …
        where: the URI of the messages.

    Raises:
        StorageError: it failed for as long as `patience_s` says.
        OSError: whatever else it raised.

    """
    allowed_s = patience_s()
    started, attempts, wait_s = time.monotonic(), 0, _FIRST_WAIT_S
    while True:
        attempts += 1
        try:
            # The first question to a store tells whether it answers at all.
            return answered(function, where, allowed_s if doing == FIRST_QUESTION else None)
        except OSError as error:
            if not is_transient(error):
                raise
            passed_s = time.monotonic() - started
            if passed_s + wait_s > allowed_s:
                raise StorageError(_gave_up(doing, where, attempts, passed_s, error)) from error
            if attempts == 1:
                logger.warning("cannot %s %s: %s; trying for %g s", doing, where, one_line(error), allowed_s)
        # Not stuck: these tries have a bound of their own.
        liveness.process.mark(f"trying again to {doing} {where}")
        time.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 (spreads the workers, hides nothing)
        wait_s = min(2.0 * wait_s, _LONGEST_WAIT_S)


def one_line(error: BaseException) -> str:
    """Return an error's message without the line breaks and request ids of a store."""
    text = re.sub(r"\s*\(Request ID: [^)]*\)", "", " ".join(shown(error).split()))
    return text.rstrip(".: ") or type(error).__name__


def place_of(uri: str) -> str:
    """Name the bucket and the key of a URI, for people who look for them in their store."""
    if not uri.startswith("s3://"):
        return uri
    bucket, _, key = with_templates(split_query(uri)[0]).removeprefix("s3://").partition("/")
    return f"bucket {bucket!r}, key {key!r}"


def _gave_up(doing: str, where: str, attempts: int, passed_s: float, error: BaseException) -> str:
    return (
        f"gave up trying to {doing} {where} ({place_of(where)}) after {attempts} attempt(s) in "
        f"{passed_s:.0f} s: {one_line(error)}. Check that the storage can be reached from here "
        f"(AWS_ENDPOINT_URL, network, load); then run the same command again, and a run continues from its "
        f"last checkpoint. {VARIABLE} says how many seconds are tried"
    )
