"""The choice between native kernels and plain tensor operations, for a job as a whole.

Loading the compiled kernels takes half a second of a process, and the first time on a machine some seconds to
compile them. A small job is over sooner without. The choice depends on the job alone, not on its workers, so
their number does not change the answer. ``LINREG_DIST_KERNELS`` (auto, native, plain) overrides it.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

from linreg_dist.errors import SpecError

VARIABLE = "LINREG_DIST_KERNELS"
_CHOICES = ("auto", "native", "plain")

_MIN_ELEMENTS = 1 << 26  # some tenths of a second of plain arithmetic
_STEP_ELEMENTS = 1 << 18  # what a step costs plainly before it touches a row, in elements


def use_native(elements: int, steps: int = 0) -> bool:
    """Return whether a job is to use the native kernels.

    Args:
        elements: numbers that it will touch, over all passes and all workers.
        steps: optimizer steps, where they are known.

    Raises:
        SpecError: the environment variable has no known value.

    """
    chosen = os.environ.get(VARIABLE, "auto")
    if chosen not in _CHOICES:
        raise SpecError(f"{VARIABLE} is {chosen!r}; expected one of {', '.join(_CHOICES)}")
    if chosen == "plain" or find_spec("numba") is None:
        return False
    return chosen == "native" or elements + steps * _STEP_ELEMENTS >= _MIN_ELEMENTS


def is_yet_to_compile() -> bool:
    """Return whether no native kernel has been compiled on this machine, which then takes some seconds."""
    from linreg_dist.kernels.folder import has_compiled

    return not has_compiled()
