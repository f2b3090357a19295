"""`demo`: the sample data and specs of the package, copied into a folder and trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from linreg_dist.errors import SpecError
from linreg_dist.jobspec import is_uri

DEFAULT_FOLDER = "linreg-dist-demo"
SPEC = "flights.yaml"


@dataclass(frozen=True)
class Samples:
    """The samples in a folder.

    Attributes:
        folder: where they are.
        spec: the spec to begin with.
        kept: files that were there with another content, and are as they were.

    """

    folder: Path
    spec: Path
    kept: tuple[str, ...]


def copy_samples(folder: str | os.PathLike[str] = DEFAULT_FOLDER) -> Samples:
    """Copy the sample data and specs into a folder; what is there already is not touched.

    Raises:
        SpecError: the folder cannot be written, or is a URI.

    """
    if not os.fspath(folder):
        raise SpecError(f"the name of the folder is empty; expected a folder such as {DEFAULT_FOLDER}")
    if is_uri(os.fspath(folder)):
        raise SpecError(f"{folder} is a URI; expected a folder on this machine, such as {DEFAULT_FOLDER}")
    target = Path(folder)
    kept = []
    try:
        for name, source in _files(files("linreg_dist") / "samples"):
            content, file = source.read_bytes(), target / name
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            elif file.read_bytes() != content:
                kept.append(name)
    except OSError as error:
        raise SpecError(
            f"the samples cannot be written to {target}: {error.strerror}; name another folder"
        ) from error
    return Samples(target, target / SPEC, tuple(kept))


def _files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.name.startswith("__"):  # Python's own
            continue
        name = f"{prefix}{item.name}"
        if item.is_dir():
            yield from _files(item, f"{name}/")
        else:
            yield name, item
