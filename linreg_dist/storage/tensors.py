"""Tensors with a JSON document beside them: the safetensors files of models and statistics, checked.

The safetensors library refuses a header that does not fit its bytes. What it cannot know is checked here:
that the numbers are of the type that they must be, and finite. A digest over document and tensors tells a
damaged file, or halves of two files, from the one that was written: a wrong number looks like any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load

from linreg_dist.wording.json_text import parse_object

Array = npt.NDArray[Any]

CHANGED = "its checksum is another: it is damaged, or was changed after it was written"


def read_tensors(content: bytes) -> dict[str, Array]:
    """Return the tensors of a safetensors file.

    Raises:
        ValueError: it is none, or has a number of a type that numpy lacks.

    """
    try:
        tensors: dict[str, Array] = load(content)
    except (SafetensorError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"it is no whole safetensors file ({error})") from error
    return tensors


def read_metadata(content: bytes) -> dict[str, Any]:
    """Return the JSON document under ``linreg_dist`` in the metadata of a safetensors file.

    The file begins with the length of its header, in eight bytes, and the header, which is JSON.

    Raises:
        ValueError: there is none.

    """
    header = parse_object(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = header.get("__metadata__")
    text = metadata.get("linreg_dist") if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise ValueError("its header does not say that linreg_dist wrote it")
    return parse_object(text)


def numbers(tensors: Mapping[str, Array], name: str, shape: tuple[int, ...], *, finite: bool = True) -> Array:
    """Return a tensor of float64 numbers.

    Raises:
        ValueError: it is missing, or has another type or shape, or a number that is not finite.

    """
    if name not in tensors:
        raise ValueError(f"it has no tensor {name!r}")
    found = tensors[name]
    if found.dtype not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"the tensor {name!r} is of {found.dtype}, expected float64")
    if found.shape != shape:
        raise ValueError(f"the tensor {name!r} has the shape {found.shape}, expected {shape}")
    if finite and not np.isfinite(found).all():
        raise ValueError(f"the tensor {name!r} has numbers that are not finite")
    return found.astype(np.float64, copy=False)


def digest_of(document: Any, tensors: Mapping[str, Array]) -> str:
    """Return the sha256 of a JSON document and tensors; equal for equal numbers, however they are laid
    out.
    """
    digest = hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        digest.update(f"\n{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(tensor.data if tensor.size else b"")
    return digest.hexdigest()
