"""The import path of processes that are started for a job: this package's, never the current directory.

``python -m`` puts the current directory first on the import path, and Ray gives its workers that of the
driver. A ``yaml.py`` or ``click.py`` among somebody's data would be executed there.
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def package_path() -> str | None:
    """Return the folder that this package was imported from, where a child would not look by itself.

    That is a checkout that is used without being installed; None for an installed package.
    """
    root = str(Path(__file__).resolve().parents[2])
    installed = {os.path.realpath(path) for path in (*site.getsitepackages(), site.getusersitepackages())}
    on_path = {os.path.realpath(path or ".") for path in sys.path}
    return root if root in on_path and root not in installed else None


def child_environment() -> dict[str, str]:
    """Return this process's environment for a child that is started by ``python -m linreg_dist``."""
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    root = package_path()
    if root is not None:
        given = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = f"{given}{os.pathsep}{root}" if given else root
    return environment


class _OwnPath(list[str]):
    """The import path of a job's Ray workers. Ray's driver adds its script's and the current directory to it
    when it connects; here it cannot.
    """

    def extend(self, _: Iterable[str]) -> None:
        """Add nothing."""


def ray_job_config() -> Any:
    """Return Ray's ``JobConfig`` of a job whose workers import nothing from the driver's directories."""
    from ray.job_config import JobConfig

    root = package_path()
    config = JobConfig()
    config._py_driver_sys_path = _OwnPath([] if root is None else [root])
    return config
