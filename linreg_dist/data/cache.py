"""Decoded blocks between passes: in memory up to a budget, then in uncompressed files that are mapped, not
read.

A mapped block costs no decoding and no memory that the system could not take back. The files stand under a
name made of the job's fingerprint, so a job that is continued finds the blocks of its earlier attempt, and no
other job does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from linreg_dist.data.block import Block
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_SUFFIX = ".npy"


def default_cache_folder(fingerprint: str) -> Path:
    """Return the folder of one job's blocks on this machine's local disk (``TMPDIR`` moves it)."""
    return Path(tempfile.gettempdir()) / f"linreg_dist-{os.getuid()}" / fingerprint[:32]


class BlockCache:
    """Keeps blocks by the index of their row group; safe to use from several threads.

    Args:
        memory_bytes: for blocks held in memory.
        disk_bytes: for blocks in ``folder``, over all processes that use it; 0 writes none.
        folder: on a local disk.
    """

    def __init__(self, memory_bytes: int, disk_bytes: int, folder: Path) -> None:
        self._memory_left = memory_bytes
        self._disk_bytes = disk_bytes
        self._folder = folder
        self._lock = threading.Lock()
        self._held: dict[int, Block] = {}
        self._files: dict[int, Path] = {}
        if disk_bytes and folder.is_dir():
            self._files = {int(path.name.split("-")[0]): path for path in folder.glob(f"*{_SUFFIX}")}

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

    def holds(self, index: int) -> bool:
        """Return whether a block is kept, in memory or on disk."""
        return index in self._held or index in self._files

    def clear(self) -> None:
        """Let go of the blocks in memory; the files stay for a later attempt."""
        self._held.clear()

    def _write(self, index: int, block: Block) -> None:
        rows = [block.x_ND.t(), block.y_NK.t(), *([] if block.w_N is None else [block.w_N[None]])]
        name = f"{index:08d}-{block.num_train}-{int(block.w_N is not None)}{_SUFFIX}"
        temporary = self._folder / f".{name}.{os.getpid()}.tmp"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if self._used() + block.nbytes > self._disk_bytes:
                return
            with temporary.open("wb") as file:
                np.save(file, torch.cat(rows).numpy(), allow_pickle=False)
            temporary.replace(self._folder / name)
        except OSError as error:  # a full disk costs time, not the job
            logger.warning("no more blocks are kept in %s: %s", self._folder, error)
            with suppress(OSError):
                temporary.unlink()
            self._disk_bytes = 0
            return
        self._files[index] = self._folder / name

    def _used(self) -> int:
        return sum(entry.stat().st_size for entry in os.scandir(self._folder) if entry.name.endswith(_SUFFIX))


def remove_cache(folder: Path) -> None:
    """Remove one job's cached blocks from this machine."""
    shutil.rmtree(folder, ignore_errors=True)


def _map_block(path: Path, num_targets: int) -> Block:
    _, num_train, weighted = path.name.removesuffix(_SUFFIX).split("-")
    # Copy-on-write, because torch wants memory it could write to; nothing ever does.
    stacked = torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))
    w_N = stacked[-1] if int(weighted) else None
    columns = stacked[:-1] if int(weighted) else stacked
    return Block(columns[:-num_targets].t(), columns[-num_targets:].t(), w_N, int(num_train))
