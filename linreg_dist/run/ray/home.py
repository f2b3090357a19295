"""A home for Ray where the user has none: the token by which its processes know each other.

Ray writes that token to ``~/.ray/auth_token``. In a container with a random user id the home is ``/`` or
cannot be written to, and nothing could be started.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_MODE, _TOKEN, _TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"


@contextmanager
def token_at_hand() -> Iterator[None]:
    """Let a Ray that is started within the block have a token, in the environment where no file can be had.

    Its processes inherit it; only this user can see it there.
    """
    if not _needs_token():
        yield
        return
    os.environ[_TOKEN] = _token()
    try:
        yield
    finally:
        os.environ.pop(_TOKEN, None)


@cache
def _token() -> str:
    """Return one token for all of this process's time: Ray keeps the first that it has seen."""
    return secrets.token_hex(32)


def _needs_token() -> bool:
    if os.environ.get(_MODE, "token").lower() != "token" or _TOKEN in os.environ or _TOKEN_PATH in os.environ:
        return False
    try:
        file = Path.home() / ".ray" / "auth_token"
        if file.exists():
            return not file.read_text().strip()
        file.parent.mkdir(parents=True, exist_ok=True)  # as Ray would
    except (RuntimeError, OSError):  # no HOME, and a user id without a name; a home that is not ours
        return True
    return not os.access(file.parent, os.W_OK | os.X_OK)
