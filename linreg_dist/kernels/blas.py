"""`one_blas_thread`: BLAS on the thread that calls it, for the time of a pass over the rows.

A pass keeps all cores busy with row groups, so a library that starts threads of its own only gets in its way.
And a product of matrices that two threads share is summed in another order than by one: the bits of a result
would depend on the machine's cores.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

_lock = threading.Lock()
_inside = 0
_limiter: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep the BLAS that numpy has loaded to one thread within the block; several may be open at a time.

    The libraries' own numbers come back when the last of them ends.
    """
    global _inside, _limiter
    with _lock:
        if _inside == 0:
            _limiter = _controller().limit(limits=1, user_api="blas")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _limiter.restore_original_limits()
                _limiter = None


@lru_cache(maxsize=1)
def _controller() -> Any:
    import numpy as np  # noqa: F401  # its BLAS must be there to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
