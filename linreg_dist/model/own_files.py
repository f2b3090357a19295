"""The files of a model, told from those of others before they are overwritten."""

from __future__ import annotations

import json
from pathlib import Path

from linreg_dist.errors import SpecError
from linreg_dist.model.covariance import FILE_NAME as _COVARIANCE
from linreg_dist.storage import TENSORS_BYTES, ObjectPath, open_regular, read_file

WEIGHTS, CONFIG = "model.safetensors", "config.json"
MODEL_TYPE = "linear_regression"
MODULE_TYPE = "module"


def refuse_foreign_files(folder: Path | ObjectPath) -> None:
    """Refuse to write a model over files that are not of one.

    Raises:
        SpecError: names such a file, or says that the place is no folder.

    """
    if isinstance(folder, Path) and folder.exists() and not folder.is_dir():
        raise SpecError(f"{folder} is a file; expected a folder to write the model into")
    for name, is_ours in ((CONFIG, _is_config), (WEIGHTS, _is_of_model), (_COVARIANCE, _is_of_model)):
        try:
            ours = is_ours(_beginning(folder / name) if name != CONFIG else read_file(folder / name))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            ours = False
        if not ours:
            raise SpecError(
                f"{folder / name} is no file of a model, and would be overwritten; choose another folder, or "
                "move it elsewhere"
            )


def _beginning(place: Path | ObjectPath) -> bytes:
    """Return the first MiB of a local file, which has the metadata; all of an object."""
    if isinstance(place, ObjectPath):
        return read_file(place, TENSORS_BYTES)
    with open_regular(place, TENSORS_BYTES) as file:
        return file.read(1 << 20)


def _is_config(content: bytes) -> bool:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("model_type") in (MODEL_TYPE, MODULE_TYPE)


def _is_of_model(content: bytes) -> bool:
    """Return whether this is, or begins, a safetensors file whose metadata name this program."""
    length = int.from_bytes(content[:8], "little")
    return b"__metadata__" in content[8 : 8 + length] and b"linreg_dist" in content[8 : 8 + length]
