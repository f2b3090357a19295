"""Compilation of kernels to machine code by numba, kept on disk between processes.

The compiled code is kept under the user's cache folder, in a folder that belongs to the user and that nobody
else can write to: numba loads what it finds there. ``NUMBA_CACHE_DIR`` moves it. The folder's name has a
digest of all kernels, because numba itself does not notice that a function a kernel calls has changed. Where
no such folder can be made, each process compiles again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numba

from linreg_dist.storage.local_files import private_folder
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

# Sums may be regrouped into the lanes of a vector register, in a way that depends on the number of rows
# alone; NaN and infinity keep their meaning.
_SUMS = {"reassoc", "contract", "nsz"}


def kernel(function: F) -> F:
    """Compile a function on its first call with given types; it then runs without the interpreter lock."""
    return _compiled(function, fastmath=_SUMS)


def strict_kernel(function: F) -> F:
    """Compile a function whose operations keep the order in which they are written."""
    return _compiled(function, fastmath=False)


def _compiled(function: F, *, fastmath: Any) -> F:
    folder = os.environ.get("NUMBA_CACHE_DIR") or _cache_folder()
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = folder or before
    try:
        decorate = numba.njit(
            nogil=True, cache=folder is not None, boundscheck=False, error_model="numpy", fastmath=fastmath
        )
        compiled: F = decorate(function)
        return compiled
    finally:
        numba.config.CACHE_DIR = before


def has_compiled() -> bool:
    """Return whether a process on this machine has kept kernels that it compiled."""
    folder = os.environ.get("NUMBA_CACHE_DIR") or _cache_folder()
    return folder is not None and any(Path(folder).rglob("*.nbi"))


@lru_cache(maxsize=1)
def _cache_folder() -> str | None:
    """Return the private folder of the compiled kernels, None where there cannot be one."""
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        ours = Path(base).expanduser() / "linreg_dist"
        ours.parent.mkdir(parents=True, exist_ok=True)
        private_folder(ours)
        folder = ours / f"kernels-{digest.hexdigest()[:16]}"
        if not folder.exists():
            logger.warning("compiling native kernels, once on this machine: this takes some ten seconds")
        private_folder(folder)
    except (OSError, RuntimeError):  # no home, a read-only one, a full disk, or somebody else's folder
        return None
    return str(folder) if os.access(folder, os.W_OK) else None
