"""Forms of a model that other programs run: one module a format, found by looking into this folder."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from linreg_dist.export.format import Format, Formats

__all__ = ["FORMATS", "Format", "is_export"]

FORMATS = Formats()
"""Every format by its name."""

for _found in pkgutil.iter_modules(__path__):
    _module = importlib.import_module(f"{__name__}.{_found.name}")
    for _one in vars(_module).values():
        is_own = inspect.isclass(_one) and _one.__module__ == _module.__name__
        if is_own and issubclass(_one, Format) and not inspect.isabstract(_one):
            FORMATS.add(_one())


def is_export(name: str) -> bool:
    """Return whether some format writes a file of this path below a run's ``export/``."""
    return any(one.writes(name) for one in FORMATS.values())
