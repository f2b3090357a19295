"""Decoded blocks between passes: in memory up to a budget, then in uncompressed files that are mapped, not
read.

Decoded blocks are data of the job: they lie in folders that only this user can look into or write to, and a
folder that somebody else has prepared under their name is not used.

A mapped block costs no decoding and no memory that the system could not take back. The files stand under a
name made of the job's fingerprint, so a job that is continued finds the blocks of its earlier attempt, and no
other job does.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np

from linreg_dist.data.block import Block
from linreg_dist.storage import TENSORS_BYTES, create_file, open_regular, private_folder
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_SUFFIX = ".npy"
_NAME = re.compile(r"(\d{8,})-(\d+)-([01])\.npy")


def default_cache_folder(fingerprint: str) -> Path:
    """Return the folder of one job's blocks on this machine's local disk (``TMPDIR`` moves it).

    Its name can be known, so it counts only where it is private, see `BlockCache`. Where no temporary folder
    can be written to, as in a container whose root is read-only, it is one that cannot be made: blocks are
    then kept in memory alone.
    """
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError:
        temporary = Path("/tmp")  # noqa: S108  # nothing is written there: it has just been tried
    return temporary / f"linreg_dist-{os.getuid()}" / fingerprint[:32]


class BlockCache:
    """Keeps blocks by the index of their row group; safe to use from several threads.

    Args:
        memory_bytes: for blocks held in memory.
        disk_bytes: for blocks in ``folder``, over all processes that use it; 0 writes none.
        folder: on a local disk. Where it, or the folder it is in, is not private to this user, nothing is
            kept there, and a warning says so.

    """

    def __init__(self, memory_bytes: int, disk_bytes: int, folder: Path) -> None:
        self._memory_left = memory_bytes
        self._disk_bytes = disk_bytes
        self._folder = folder
        self._lock = threading.Lock()
        self._held: dict[int, Block] = {}
        self._files: dict[int, Path] = {}
        if disk_bytes and os.path.lexists(folder) and self._is_private():
            named = ((path, _NAME.fullmatch(path.name)) for path in folder.iterdir())
            self._files = {int(name[1]): path for path, name in named if name is not None}

    def get(self, index: int, num_targets: int) -> Block | None:
        """Return a kept block, or None."""
        if index in self._held:
            return self._held[index]
        path = self._files.get(index)
        return None if path is None else _map_block(path, num_targets)

    def keep(self, index: int, block: Block) -> None:
        """Keep a block if either budget allows."""
        with self._lock:
            if self.holds(index):
                return
            if block.nbytes <= self._memory_left:
                self._memory_left -= block.nbytes
                self._held[index] = block
                return
        if self._disk_bytes:
            self._write(index, block)

    @property
    def keeps_any(self) -> bool:
        """Whether there is a budget for blocks, or some are kept already."""
        return bool(self._memory_left or self._disk_bytes or self._held or self._files)

    def holds(self, index: int) -> bool:
        """Return whether a block is kept, in memory or on disk."""
        return index in self._held or index in self._files

    def clear(self) -> None:
        """Let go of the blocks in memory; the files stay for a later attempt."""
        self._held.clear()

    def _is_private(self) -> bool:
        """Make the folder private; if that cannot be, use no files for the rest of the job."""
        try:
            _make_private(self._folder)
        except OSError as error:
            logger.warning("no blocks are kept in %s: %s", error.filename or self._folder, error.strerror)
            self._disk_bytes = 0
        return bool(self._disk_bytes)

    def _write(self, index: int, block: Block) -> None:
        rows = [block.x_ND.T, block.y_NK.T, *([] if block.w_N is None else [block.w_N[None]])]
        name = f"{index:08d}-{block.num_train}-{int(block.w_N is not None)}{_SUFFIX}"
        temporary = self._folder / f".{name}.{os.getpid()}.tmp"
        try:
            if not self._is_private() or self._used() + block.nbytes > self._disk_bytes:
                return
            with create_file(temporary) as file:
                np.save(file, np.concatenate(rows), allow_pickle=False)
            temporary.replace(self._folder / name)
        except OSError as error:  # a full disk costs time, not the job
            logger.warning("no more blocks are kept in %s: %s", self._folder, error)
            with suppress(OSError):
                temporary.unlink()
            self._disk_bytes = 0
            return
        self._files[index] = self._folder / name

    def _used(self) -> int:
        return sum(
            entry.stat(follow_symlinks=False).st_size
            for entry in os.scandir(self._folder)
            if entry.name.endswith(_SUFFIX)
        )


def remove_cache(folder: Path) -> None:
    """Remove one job's cached blocks from this machine, where its folder is private to this user."""
    with suppress(OSError):
        if os.path.lexists(folder):
            _make_private(folder)
            shutil.rmtree(folder, ignore_errors=True)


def _make_private(folder: Path) -> None:
    private_folder(folder.parent)
    private_folder(folder)


def _map_block(path: Path, num_targets: int) -> Block:
    _, num_train, weighted = path.name.removesuffix(_SUFFIX).split("-")
    with open_regular(path, TENSORS_BYTES):  # its folder is private; what is in it may have been linked
        pass
    # Copy-on-write, because torch, for some solvers, wants memory it could write to; nothing ever does.
    stacked = np.load(path, mmap_mode="c", allow_pickle=False)
    w_N = stacked[-1] if int(weighted) else None
    columns = stacked[:-1] if int(weighted) else stacked
    return Block(columns[:-num_targets].T, columns[-num_targets:].T, w_N, int(num_train))
