"""`load_spec`: from a file, a map or a `JobSpec` to a checked `JobSpec`, or to every reason why not."""

from __future__ import annotations

import copy
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from linreg_dist.jobspec.checks import Conflict
from linreg_dist.jobspec.models import JobSpec, ReadFrom
from linreg_dist.jobspec.reading.interpolation import Interpolated, escape, interpolate
from linreg_dist.jobspec.reading.layers import (
    Layers,
    apply_overrides,
    fault_in_part,
    from_file,
    from_mapping,
    get_at,
)
from linreg_dist.jobspec.reading.phrases import reword, unknown_path
from linreg_dist.jobspec.reading.problems import PathSet, Problem, spec_error
from linreg_dist.jobspec.reading.yaml_reader import Path
from linreg_dist.jobspec.secrets import find_secrets, hide_values
from linreg_dist.jobspec.sections import RunSpec
from linreg_dist.jobspec.uris import URI
from linreg_dist.wording.secrets import show_on_one_line

MOST_JOBS = 10_000
"""Most jobs that one matrix may stand for."""

_STORAGE: Path = ("run", "storage_path")
_PATHS: tuple[Path, ...] = (("data", "path"), ("data", "validation", "path"), _STORAGE)


def load_spec(
    source: str | os.PathLike[str] | Mapping[str, Any] | JobSpec,
    overrides: Mapping[str, Any] | Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    shown: str = "<dict>",
) -> JobSpec:
    """Read a job spec, check all of it, and return it with absolute paths and without ``${VAR}``.

    What comes later wins: defaults, the file it ``extends``, the file itself, `overrides`. Paths to data are
    relative to the file they are written in, those of maps and overrides to the current directory, and
    ``run.storage_path`` always to the current directory; URIs stay as they are.

    Args:
        source: a YAML or JSON file, a map of the same shape, or a spec to change by `overrides`.
        overrides: ``["solver.epochs=5"]`` with YAML-typed values, or ``{"solver.epochs": 5}``; a value
            replaces what was there as a whole.
        environ: where ``${VAR}`` is looked up; by default the environment of this process.
        shown: what messages call a map.

    Raises:
        SpecError: with every problem, a line each: ``file:line:column: message @ path``.

    """
    layers, interpolated = _layers(source, shown)
    problems = apply_overrides(layers, overrides)
    fresh, faults = interpolate(layers, os.environ if environ is None else environ)
    spec = check_layers(layers, {**interpolated, **fresh}, problems, faults)
    spec._read_from = ReadFrom(source.files if isinstance(source, JobSpec) else _files(source, layers))
    return spec


def check_layers(
    layers: Layers,
    interpolated: dict[Path, Interpolated],
    problems: Sequence[Problem] = (),
    faults: Sequence[Problem] = (),
) -> JobSpec:
    """Return the spec that `layers` hold, made of values without ``${VAR}``.

    Args:
        layers: the values and where they were written; relative paths in them are made absolute.
        interpolated: what the values that came from the environment were.
        problems: what is known to be wrong already.
        faults: likewise, where nothing more is to be said about the values at fault.

    Raises:
        SpecError: with the known and all further problems.

    """
    hide_values(interpolated)
    _absolutise(layers, interpolated)
    hide_values(interpolated)  # the absolute paths too
    secrets = find_secrets(layers, interpolated)
    faults = [*faults, *secrets]
    spec, found = _validate(layers, interpolated, [fault.path for fault in faults])
    if spec is None or problems or faults:
        raise spec_error([*problems, *faults, *found])
    spec._interpolated = {path: item for path, item in interpolated.items() if layers.get(path) == item.value}
    return spec


def _layers(
    source: str | os.PathLike[str] | Mapping[str, Any] | JobSpec, shown: str
) -> tuple[Layers, dict[Path, Interpolated]]:
    if isinstance(source, JobSpec):
        layers = from_mapping(source.model_dump(mode="json"))
        for path, text in list(layers.strings()):
            layers.replace(path, escape(text))  # it was read from the environment already, if at all
        return layers, source.interpolated()
    if isinstance(source, Mapping):
        return from_mapping(source, shown), {}
    file = FilePath(source)
    show_on_one_line(str(file))
    layers = from_file(file)
    layers.data.setdefault("name", run_name(file))
    return layers, {}


def _files(source: str | os.PathLike[str] | Mapping[str, Any], layers: Layers) -> tuple[str, ...]:
    if isinstance(source, Mapping):
        return ()
    # A base file is named beside the file that extends it, and is known by the values that came from it.
    named = [os.fspath(source), *(origin.file for origin in layers.origins.values() if origin.mark)]
    return tuple(dict.fromkeys(os.path.abspath(name) for name in named))


def run_name(path: str | os.PathLike[str]) -> str:
    """Return a run name made from the last part of a path or URI that is no glob, without its ending.

    What a run name cannot hold becomes a hyphen.
    """
    parts = [
        part for part in re.split(r"[/\\]+", os.fspath(path).partition("?")[0]) if part not in ("", ".", "..")
    ]
    plain = [part for part in parts if not re.search(r"[*?\[]", part)]
    stem = FilePath((plain or parts or ["job"])[-1]).stem
    name = re.sub(r"[^A-Za-z0-9._-]+|\.\.+", "-", stem)
    return re.sub(r"^[^A-Za-z0-9]+", "", name)[:128] or "job"


def _absolutise(layers: Layers, interpolated: dict[Path, Interpolated]) -> None:
    """Make relative paths absolute, because a worker runs elsewhere; the default storage path too."""
    if isinstance(layers.data.setdefault("run", {}), dict):
        layers.data["run"].setdefault("storage_path", RunSpec().storage_path)
    for place in _path_places(layers):
        text = layers.get(place)
        if not isinstance(text, str) or not text or URI.match(text):
            continue
        in_cwd = place == _STORAGE or place[:2] == ("matrix", "run.storage_path")
        folder = os.getcwd() if in_cwd else layers.origin(place).folder
        absolute = os.path.normpath(os.path.join(folder, os.path.expanduser(text)))
        layers.replace(place, absolute)
        show_on_one_line(absolute)
        item = interpolated.get(place)
        if item is not None:
            relative = not os.path.isabs(os.path.expanduser(text))
            template = os.path.join(escape(folder), item.template) if relative else item.template
            interpolated[place] = replace(item, template=template, value=absolute)


def _path_places(layers: Layers) -> Iterator[Path]:
    """Yield where a path may stand: the path fields, their elements, and their values in the matrix."""
    for field in _PATHS:
        yield from _elements(layers, field)
        values = ("matrix", ".".join(map(str, field)))
        for place in _elements(layers, values):
            yield from _elements(layers, place)


def _elements(layers: Layers, place: Path) -> list[Path]:
    value = layers.get(place)
    return [(*place, index) for index in range(len(value))] if isinstance(value, list) else [place]


def _validate(
    layers: Layers, interpolated: Mapping[Path, Interpolated], failed: Sequence[Path]
) -> tuple[JobSpec | None, list[Problem]]:
    """Return the spec, or what is wrong with it; nothing is said again about the values at `failed`."""
    sound = copy.deepcopy(layers.data)
    bad = PathSet()
    _take_all_out(sound, failed, bad)
    spec, errors, conflicts = _try(sound)
    problems: list[Problem] = []
    if errors:
        templates = {path: item.template for path, item in interpolated.items()}
        problems = [item for item in reword(errors, layers, templates) if not bad.touches(item.path)]
        # Conflicts are found on whole specs only, so look at what remains without the faulty values.
        _take_all_out(sound, [problem.path for problem in problems], bad)
        spec, _, conflicts = _try(_with_required(sound))
    for conflict in conflicts:
        if not any(bad.touches(path) for path in conflict.involves):
            message = conflict.message
            for item in interpolated.values():  # what came from the environment is not for others to read
                message = message.replace(f'"{item.value}"', f'"{item.template}"')
            problems.append(Problem(layers.origin(conflict.at), message, conflict.at))
    if spec is not None and spec.matrix is not None and not problems:
        problems = _check_matrix(spec.matrix, layers, interpolated)
    return (None if problems or bad else spec), problems


def _try(data: Any) -> tuple[JobSpec | None, list[ErrorDetails], list[Conflict]]:
    try:
        return JobSpec.model_validate(data), [], []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    if errors[0]["type"] == "conflicts":
        return None, [], errors[0]["ctx"]["conflicts"]
    return None, errors, []


def _take_all_out(data: dict[str, Any], paths: Sequence[Path], gone: PathSet) -> None:
    for path in paths:
        if path and not gone.holds(path):
            gone.add(_take_out(data, path))


def _take_out(data: dict[str, Any], path: Path) -> Path:
    """Remove the value at `path` from `data`, or the smallest field around it; return what went."""
    for length in range(len(path), 0, -1):
        parent, step = get_at(data, path[: length - 1]), path[length - 1]
        if isinstance(parent, dict) and (step in parent or path[: length - 1] == ("data",)):
            parent.pop(str(step), None)
            return path[:length]
    return path


def _with_required(data: dict[str, Any]) -> dict[str, Any]:
    """Return `data` with something in every required field, so that the rest of it can be checked."""
    return {**data, "data": {"path": "?", "target": "?", **data.get("data", {})}}


def fault_in_size(matrix: Mapping[str, Sequence[Any]]) -> str | None:
    """Return what is wrong with the number of jobs that ``matrix`` stands for; None if it is right."""
    jobs = math.prod(len(values) for values in matrix.values())
    if jobs <= MOST_JOBS:
        return None
    return f"this matrix stands for {jobs:,} jobs, expected at most {MOST_JOBS:,}; give fewer values"


def _check_matrix(
    matrix: Mapping[str, Sequence[Any]], layers: Layers, interpolated: Mapping[Path, Interpolated]
) -> list[Problem]:
    """Return what is wrong with each value of `matrix` alone; combinations are checked when they are made."""
    too_many = fault_in_size(matrix)
    if too_many is not None:
        return [Problem(layers.origin(("matrix",)), too_many, ("matrix",))]
    problems = []
    alone = {key: value for key, value in layers.data.items() if key != "matrix"}
    for dotted, values in matrix.items():
        path = tuple(dotted.split("."))
        at_key = ("matrix", dotted)
        message = unknown_path(path) or fault_in_part(layers, path)
        if path[0] in ("matrix", "name", "version"):
            message = f"{path[0]} cannot vary within a matrix; each job gets its name from what varies"
        if message is not None:
            problems.append(Problem(layers.origin(at_key), message, at_key, at_key=True))
            continue
        for index, value in enumerate(values):
            trial = Layers(layers.root, copy.deepcopy(alone))
            trial.put(path, value)
            _, errors, _ = _try(trial.data)
            at = (*at_key, index)
            templates = {
                (*path, *place[3:]): item.template for place, item in interpolated.items() if place[:3] == at
            }
            found = reword(errors, trial, templates)
            problems += [Problem(layers.origin(at), item.message, at) for item in found if item.message]
    return problems
