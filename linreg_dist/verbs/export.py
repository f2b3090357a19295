"""`export`: a saved model in a form that other programs run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from linreg_dist.documents import Exported
from linreg_dist.errors import SpecError
from linreg_dist.export import FORMATS
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.run.outputs import refuse_in_run
from linreg_dist.run.state import load_model
from linreg_dist.storage import Location, ObjectPath, as_location, write_whole


def export(
    model: LinearModel | str | Path | ObjectPath,
    to: str,
    output: str | Path | ObjectPath,
    *,
    dialect: str | None = None,
) -> Exported:
    """Write a model in another form.

    Args:
        model: the model, its folder or its run's folder.
        to: the name of a format: onnx, sklearn, sql, mlflow.
        output: the file to write, or the folder of a format that is one; a path or a URI. It must not exist.
        dialect: of SQL, as sqlglot names it; the format's usual one unless given.

    Returns:
        What was written.

    Raises:
        SpecError: there is no such model, format or dialect; the format's extra is not installed; the model
            cannot be written so; the output exists, or lies in a run.
        StorageError: an object store does not answer.

    """
    one = FORMATS.get(to)
    if one is None:
        raise SpecError(f"--to {to} is no format; expected one of {', '.join(FORMATS)}")
    if dialect is not None and not one.has_dialects:
        able = " or ".join(name for name, each in FORMATS.items() if each.has_dialects)
        raise SpecError(f"--dialect has no meaning for {to}; leave it out, or export --to {able}")
    loaded = model if isinstance(model, LinearModel) else load_model(model)
    if not loaded.is_linear:
        raise SpecError(f"{loaded!r} has no coefficients to export; its weights are in model.safetensors")
    one.require("--to")
    place = as_location(output)
    exists = os.path.lexists(place) if isinstance(place, Path) else place.exists()
    if exists:
        raise SpecError(f"{place} exists already, and an export overwrites nothing; choose another --output")
    refuse_in_run(place, "--output")
    made = one.files(loaded, dialect)
    try:
        _write(place, made)
    except OSError as error:
        raise SpecError(f"--output {place} cannot be written: {error.strerror or error}") from error
    return Exported(format=to, output=str(place), files=len(made))


def _write(place: Location, files: Mapping[str, bytes]) -> None:
    """Write a file, or a folder of files, that appears whole."""
    if isinstance(place, ObjectPath):
        for path, content in files.items():
            write_whole(place / path if path else place, content)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if list(files) == [""]:
        write_whole(place, files[""])
        return
    with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as scratch:
        whole = Path(scratch) / place.name
        for path, content in files.items():
            (whole / path).parent.mkdir(parents=True, exist_ok=True)
            (whole / path).write_bytes(content)
        whole.rename(place)
