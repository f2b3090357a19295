"""Messages between a caller and its reader: a length, then a pickle, over a pipe that only these two have."""

from __future__ import annotations

import os
import pickle
import select
import struct
import time
from typing import Any

_LENGTH = struct.Struct("<Q")
_AT_ONCE = 1 << 20


class ClosedError(Exception):
    """The other end is gone."""


class SilentError(Exception):
    """The other end says nothing for too long."""


def send(fd: int, message: Any) -> None:
    """Write a message.

    Raises:
        ClosedError: the other end is gone.

    """
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    waiting = memoryview(_LENGTH.pack(len(content)) + content)
    try:
        while waiting:
            waiting = waiting[os.write(fd, waiting) :]
    except OSError as error:
        raise ClosedError(str(error)) from error


def receive(fd: int, patience_s: float | None = None) -> Any:
    """Return the next message.

    Args:
        fd: to read from.
        patience_s: how long to wait for each part of it; None waits for ever.

    Raises:
        ClosedError: the other end is gone.
        SilentError: nothing came for so long.

    """
    (length,) = _LENGTH.unpack(_read(fd, _LENGTH.size, patience_s))
    # It comes from a process that we started, through a pipe that nobody else has.
    return pickle.loads(_read(fd, length, patience_s))  # noqa: S301


def _read(fd: int, length: int, patience_s: float | None) -> bytes:
    content = bytearray()
    poll = select.poll()  # unlike select, it takes any number of a descriptor
    poll.register(fd, select.POLLIN | select.POLLHUP)
    while len(content) < length:
        deadline = None if patience_s is None else time.monotonic() + patience_s
        while not poll.poll(None if deadline is None else 1000):
            if deadline is not None and time.monotonic() > deadline:
                raise SilentError
        try:
            part = os.read(fd, min(_AT_ONCE, length - len(content)))
        except OSError as error:
            raise ClosedError(str(error)) from error
        if not part:
            raise ClosedError("the pipe has ended")
        content += part
    return bytes(content)
