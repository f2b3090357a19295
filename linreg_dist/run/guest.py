"""Settings of the calling process that a run changes, put back when it ends.

`linreg_dist.train` and the estimator run in notebooks and services that go on afterwards.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa

# Set for Ray, which reads them when it is imported and when it starts; the last by threadpoolctl for itself.
_VARIABLES = (
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
    "RAY_COLOR_PREFIX",
    "RAY_TRAIN_V2_ENABLED",
    "KMP_DUPLICATE_LIB_OK",
)
_RAY_WIDGETS = "ray.widgets.util"  # in a notebook it asks for packages that nothing here needs
_RAY_LOGGERS = ("ray", "ray.train", "ray.tune", "ray.data", _RAY_WIDGETS)


@contextmanager
def settings_kept() -> Iterator[None]:
    """Leave threads, random states, log levels, warning filters and signal handlers as they were found."""
    torch = sys.modules.get("torch")
    of_torch = None if torch is None else (torch.get_num_threads(), torch.get_rng_state())
    arrow_threads, arrow_io_threads = pa.cpu_count(), pa.io_thread_count()
    python_state, numpy_state = random.getstate(), np.random.get_state()
    levels = {name: logging.getLogger(name).level for name in _RAY_LOGGERS}
    logging.getLogger(_RAY_WIDGETS).setLevel(logging.WARNING)
    variables = {name: os.environ.get(name) for name in _VARIABLES}
    in_main_thread = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        _restore_torch(of_torch)
        pa.set_cpu_count(arrow_threads)
        pa.set_io_thread_count(arrow_io_threads)
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if in_main_thread:
            for number, handler in handlers.items():
                if handler is not None:
                    signal.signal(number, handler)


def _restore_torch(before: tuple[int, Any] | None) -> None:
    """Put torch back to what it was; where the run has loaded it, to what it is when it is fresh."""
    torch = sys.modules.get("torch")
    if torch is None:
        return
    from linreg_dist.training import worker

    threads, state = before or (worker.torch_threads_found, None)
    if threads is not None:
        torch.set_num_threads(threads)
    if state is None:
        torch.default_generator.manual_seed(torch.initial_seed())
    else:
        torch.set_rng_state(state)
