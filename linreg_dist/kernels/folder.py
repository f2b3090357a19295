"""The private folder in which compiled kernels are kept between processes.

It belongs to the user and nobody else can write to it: what lies there is run. ``NUMBA_CACHE_DIR`` moves it.
Its name has a digest of all kernels and of the compiler. Importing this module imports no compiler.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from linreg_dist.storage.local_files import private_folder
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)


@lru_cache(maxsize=1)
def kernel_folder() -> str | None:
    """Return the folder, None where there cannot be one."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return chosen
    try:
        compiler = version("numba")
    except PackageNotFoundError:
        return None
    digest = hashlib.sha256(compiler.encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
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


def has_compiled() -> bool:
    """Return whether a process on this machine has kept kernels that it compiled."""
    folder = kernel_folder()
    return folder is not None and any(
        path.suffix in (".nbi", ".o") for path in Path(folder).rglob("*") if not path.is_dir()
    )
