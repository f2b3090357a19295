"""One spec with ``matrix:`` to one spec per combination, for ``batch``."""

from __future__ import annotations

import copy
import itertools
import re
from collections import Counter
from typing import Any

from linreg_dist.errors import SpecError
from linreg_dist.jobspec.load import check_layers, fault_in_size
from linreg_dist.jobspec.models import JobSpec, ReadFrom
from linreg_dist.jobspec.reading.interpolation import Interpolated, uninterpolated
from linreg_dist.jobspec.reading.layers import from_mapping
from linreg_dist.jobspec.reading.problems import shown_lines
from linreg_dist.jobspec.reading.yaml_reader import Path

_LONGEST_NAME = 128


def expand_matrix(spec: JobSpec) -> list[JobSpec]:
    """Return a spec for every combination of the values in ``spec.matrix``; without a matrix, `spec` alone.

    The last path varies fastest. Each job is named after the values it has, ``flights-l2_0.1``, so that the
    same combination finds its run again when values are added to the matrix.

    Raises:
        SpecError: a combination is invalid; all of them are listed.

    """
    if spec.matrix is None:
        return [spec]
    too_many = fault_in_size(spec.matrix)
    if too_many is not None:
        raise SpecError(too_many)
    jobs: list[JobSpec] = []
    failures: list[str] = []
    names: Counter[str] = Counter()
    record = spec.interpolated()
    shown = uninterpolated(spec.matrix, ("matrix",), record)
    base = spec.model_dump(mode="json")
    values_of = base.pop("matrix")
    for choice in itertools.product(*(range(len(values)) for values in spec.matrix.values())):
        setting = dict(zip(spec.matrix, choice, strict=True))
        values = {dotted: shown[dotted][index] for dotted, index in setting.items()}
        name = _job_name(spec.name, values, names)
        try:
            jobs.append(_one_job(base, values_of, record, setting, name))
        except SpecError as error:
            combination = ", ".join(f"{dotted}={value}" for dotted, value in values.items())
            failures += [f"combination {combination}: {line}" for line in str(error).splitlines()]
    if failures:
        raise SpecError("\n".join(shown_lines(failures)))
    for job in jobs:
        job._read_from = ReadFrom(spec.files)
    return jobs


def _one_job(
    base: dict[str, Any],
    values_of: dict[str, list[Any]],
    interpolated: dict[Path, Interpolated],
    setting: dict[str, int],
    name: str,
) -> JobSpec:
    """Return `base` with the value number `setting[path]` at each path; a value keeps its ``${VAR}``."""
    layers = from_mapping(base, "matrix")
    record = {at: item for at, item in interpolated.items() if at[:1] != ("matrix",)}
    for dotted, index in setting.items():
        source, path = ("matrix", dotted, index), tuple(dotted.split("."))
        layers.put(path, copy.deepcopy(values_of[dotted][index]))
        record |= {(*path, *at[3:]): item for at, item in interpolated.items() if at[:3] == source}
    layers.put(("name",), name)
    layers.put(("matrix",), None)
    return check_layers(layers, record)


def _job_name(base: str, setting: dict[str, Any], taken: Counter[str]) -> str:
    """Return a name that is not among ``taken``, and add it there."""
    parts = [base, *(f"{path.rpartition('.')[2]}_{_name_part(value)}" for path, value in setting.items())]
    name = re.sub(r"\.\.+", ".", "-".join(parts))
    candidate = short = name[:_LONGEST_NAME]
    while taken[candidate]:
        taken[short] += 1
        candidate = f"{name[: _LONGEST_NAME - 8]}-{taken[short]}"
    taken[candidate] += 1
    return candidate


def _name_part(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "_".join(map(_name_part, value))
    value = str(value).rstrip("/").rpartition("/")[2]  # of a path, its last part
    return re.sub(r"[^A-Za-z0-9._]+", "_", str(value)).strip("_") or "x"
