"""What the numbers were measured on: processor, cores, memory, versions. No host name, no paths."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_PACKAGES = (
    "linreg-dist",
    "torch",
    "ray",
    "pyarrow",
    "numpy",
    "scikit-learn",
    "pyspark",
    "vowpalwabbit",
    "scikit-learn-intelex",
    "polars",
    "polars-ds",
    "duckdb",
)


def describe_machine() -> dict[str, Any]:
    """Return the machine as a JSON document."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def machine_slug(machine: dict[str, Any]) -> str:
    """Return a short name for file names, such as ``amd-epyc-2-cores``."""
    return re.sub(r"[^a-z0-9]+", "-", f"{machine['cpu']} {machine['cores']} cores".lower()).strip("-")


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
