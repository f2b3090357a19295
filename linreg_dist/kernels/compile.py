"""Compilation of kernels to machine code by numba, kept on disk between processes.

The compiled code is kept in a folder whose name has a digest of all kernels, because numba itself does not
notice that a function a kernel calls has changed. Where there is no such folder, each process compiles again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

from linreg_dist.kernels.folder import kernel_folder

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
    folder = kernel_folder()
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = folder or before
    try:
        # What a kernel calls is a part of it. Else a process that compiles has a copy of it from each caller,
        # of which the first serves all, and adds in another order than one that loads kept code.
        decorate = numba.njit(
            nogil=True,
            cache=folder is not None,
            boundscheck=False,
            error_model="numpy",
            fastmath=fastmath,
            forceinline=True,
        )
        compiled: F = decorate(function)
        return compiled
    finally:
        numba.config.CACHE_DIR = before


def plain_kernel(function: F) -> F:
    """Compile as `kernel` does, for functions that `linreg_dist.kernels.objects` keeps in its own way."""
    return _not_kept(function, fastmath=_SUMS)


def plain_strict_kernel(function: F) -> F:
    """Compile as `strict_kernel` does, likewise."""
    return _not_kept(function, fastmath=False)


def _not_kept(function: F, *, fastmath: Any) -> F:
    decorate = numba.njit(nogil=True, boundscheck=False, error_model="numpy", fastmath=fastmath)
    compiled: F = decorate(function)
    return compiled
