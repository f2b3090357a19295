"""The versions that a result names."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version

from linreg_dist._version import __version__


def versions_of(*packages: str) -> dict[str, str]:
    """Return the versions of linreg_dist, Python and installed ``packages``, by name."""
    found = {name: _installed(name) for name in packages}
    return {"linreg_dist": __version__, "python": platform.python_version(), **found}


# Looking one up takes milliseconds, which is much of a small fit.
_installed = cache(version)
