"""Checkpoints of an iterative fit: weights, optimizer state and a few integers, in safetensors.

One writer (rank 0), fixed names, with a checksum. On a file system a checkpoint is written beside and renamed
into place. On an object store, where nothing is renamed, its second object counts and is put last; it is
written beside the training, which goes on when the store does not answer. A torn newest checkpoint falls back
to the one before.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import ConfigDict, Field, TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load, save

from linreg_dist.documents import EpochLine
from linreg_dist.storage import (
    TENSORS_BYTES,
    Background,
    Location,
    ObjectPath,
    create_file,
    read_file,
    remove_tree,
)
from linreg_dist.storage.free_space import describe_room
from linreg_dist.storage.tensors import digest_of
from linreg_dist.wording.json_text import parse_object
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_TENSORS = "state.safetensors"
_PROGRESS = "progress.json"
_NAME = re.compile(r"epoch\d{6,}-step\d{9,}")


@dataclass(frozen=True)
class Progress:
    """The position of a fit; with the spec and the manifest it says which rows come next.

    Attributes:
        epoch: the epoch in progress, from 0.
        step: optimizer steps done in it.
        global_batch_size: the batch the plan was made with.
        fingerprint: hash of the spec and the manifest; another one does not resume.
        epoch_sums: Σw and Σw·e² per target of the epoch so far, so that its training loss counts every row;
            the mean over the workers.
        world_size: the number of workers that wrote it.
        history: the finished epochs' lines of metrics.jsonl.
        best, stale: early stopping's memory.

    """

    epoch: Annotated[int, Field(ge=0, strict=True)]
    step: Annotated[int, Field(ge=0, strict=True)]
    global_batch_size: Annotated[int, Field(ge=0, strict=True)]
    fingerprint: str
    epoch_sums: list[Annotated[float, Field(strict=True)]]
    world_size: Annotated[int, Field(ge=1, strict=True)]
    history: list[EpochLine]
    best: Annotated[float, Field(strict=True)] | None
    stale: Annotated[int, Field(ge=0, strict=True)]

    __pydantic_config__ = ConfigDict(extra="forbid")


_PROGRESS_TYPE = TypeAdapter(Progress)


class CheckpointStore:
    """The checkpoints of one run, in ``<run>/checkpoints``.

    Args:
        folder: where they lie; made when the first is saved.
        num_to_keep: older ones are removed.

    """

    def __init__(self, folder: Location, num_to_keep: int) -> None:
        self._folder = folder
        self._num_to_keep = num_to_keep
        self._background = Background(f"a checkpoint in {folder}") if isinstance(folder, ObjectPath) else None

    def close(self) -> None:
        """Wait for a checkpoint that is still being written."""
        if self._background is not None:
            self._background.close()

    @property
    def is_busy(self) -> bool:
        """Whether the checkpoint before is still being written, so that another would be left out."""
        return self._background is not None and self._background.is_busy

    def save(self, progress: Progress, tensors: dict[str, torch.Tensor]) -> None:
        """Write one checkpoint; it counts only once it is complete.

        A checkpoint that cannot be written, as on a full disk, costs what would be repeated after a failure
        and not the job: it is left out with a warning, and those before it stay.
        """
        name = f"epoch{progress.epoch:06d}-step{progress.step:09d}"
        payload = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
        document = {
            **vars(progress),
            "history": [line.to_json() for line in progress.history],
            "sha256": hashlib.sha256(payload).hexdigest(),
        }
        document = {**document, "checksum": digest_of(document, {})}
        files = {_TENSORS: payload, _PROGRESS: json.dumps(document).encode()}
        if isinstance(self._folder, Path):
            try:
                _write_folder(self._folder, name, files)
                self._prune(name)
            except OSError as error:
                logger.warning(
                    "no checkpoint could be written to %s: %s; %s. Training goes on, and the last whole "
                    "checkpoint stays",
                    *(self._folder, error, describe_room(self._folder, error)),
                )
                with suppress(OSError):
                    _remove(self._folder / f".{name}.tmp")
        elif self._background is not None:
            folder = self._folder / name

            def put() -> None:
                for file, content in files.items():
                    (folder / file).write_bytes(content)
                self._prune(name)

            self._background.start(put)

    def _prune(self, name: str) -> None:
        # Later checkpoints were not resumed from: it is torn, or another job's, and must not pass for newer.
        earlier = [other for other in self._names() if other < name]
        kept = {name, *earlier[::-1][: self._num_to_keep - 1]}
        for other in set(self._names()) - kept:
            if _is_checkpoint(self._folder / other):
                remove_tree(self._folder / other)

    def latest(self, fingerprint: str) -> tuple[Progress, dict[str, torch.Tensor]] | None:
        """Return the newest checkpoint that is whole and belongs to this job, or None."""
        for name in reversed(self._names()):
            loaded = _read(self._folder / name)
            if loaded is not None and loaded[0].fingerprint == fingerprint:
                return loaded
        return None

    def _names(self) -> list[str]:
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if _NAME.fullmatch(path.name))


def _read(folder: Location) -> tuple[Progress, dict[str, torch.Tensor]] | None:
    """Return a checkpoint, or None if any part is missing or damaged."""
    try:
        document = parse_object(read_file(folder / _PROGRESS))
        payload = read_file(folder / _TENSORS, TENSORS_BYTES)
        if document.pop("checksum", None) not in (
            None,
            digest_of(document, {}),
        ):  # earlier versions wrote none
            return None
        if hashlib.sha256(payload).hexdigest() != document.pop("sha256", None):
            return None
        return _PROGRESS_TYPE.validate_python(document), load(payload)
    except (OSError, ValueError, SafetensorError):
        return None


def _write_folder(parent: Path, name: str, files: dict[str, bytes]) -> None:
    temporary = parent / f".{name}.tmp"
    _remove(temporary)
    temporary.parent.mkdir(exist_ok=True)  # the run's folder is there, unless its storage is gone
    temporary.mkdir()
    for file, content in files.items():
        _write_durably(temporary / file, content)
    final = parent / name
    _remove(final)
    temporary.rename(final)


def _is_checkpoint(folder: Location) -> bool:
    """Return whether a folder holds the files of a checkpoint, whole or torn, and nothing else."""
    if isinstance(folder, ObjectPath):
        return all(path.name in (_TENSORS, _PROGRESS) for path in folder.iterdir())
    return (
        not folder.is_symlink()
        and folder.is_dir()
        and all(
            path.name in (_TENSORS, _PROGRESS) and path.is_file() and not path.is_symlink()
            for path in folder.iterdir()
        )
    )


def _remove(folder: Path) -> None:
    """Remove a checkpoint, if it is there.

    Raises:
        OSError: the name belongs to something that holds more than a checkpoint.

    """
    if not os.path.lexists(folder):
        return
    if not _is_checkpoint(folder):
        raise OSError(errno.EEXIST, "it holds more than a checkpoint; move it elsewhere", str(folder))
    shutil.rmtree(folder)


def _write_durably(path: Path, payload: bytes) -> None:
    with create_file(path) as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
