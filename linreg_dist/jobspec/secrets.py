"""Secrets in a job spec: refused where they would be written, hidden where they come from the environment.

A value read by ``${VAR}`` is never written to a file of a run where it names a place of data, a cluster or a
tracker: the text of the spec is written in its place. Everywhere else (columns, levels, filters, the run's
name and its folder) the value is part of the model or of its place, which must be written; a variable whose
name says that it is a secret is refused there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from linreg_dist.jobspec.reading.interpolation import Interpolated
from linreg_dist.jobspec.reading.layers import Layers
from linreg_dist.jobspec.reading.problems import Problem
from linreg_dist.jobspec.reading.yaml_reader import Path
from linreg_dist.wording.secrets import hide, hide_variable, holds_credentials, is_secret_name

_DATA: tuple[Path, ...] = (("data", "path"), ("data", "validation", "path"))
_OUTSIDE = ("cluster", "tracking")
_GLOB_CHARACTERS = "*?["
_WITH_DEFAULT = re.compile(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*):-[^{}]+\}")
_PASSWORD = re.compile(r"://[^/@\s]*?:([^@\s]*)@")


def find_secrets(layers: Layers, interpolated: Mapping[Path, Interpolated]) -> list[Problem]:
    """Return what is wrong with secrets in `layers`: literal ones, and variables where values are written."""
    problems = [
        Problem(layers.origin(path), fault, path)
        for path, value in _leaves(layers.data, ())
        if path not in interpolated and (fault := _literal_fault(_field(path), value)) is not None
    ]
    for path, item in interpolated.items():
        if (fault := _fault_in_template(_field(path), item.template)) is not None:
            problems.append(Problem(layers.origin(path), fault, path))
            continue
        secret = [name for name, _ in item.variables if is_secret_name(name)]
        if secret and not _is_hidden(_field(path)):
            problems.append(
                Problem(
                    layers.origin(path),
                    f"found ${{{secret[0]}}}, a secret by its name, and what stands here is written to the "
                    "run's files; expected a value that anyone may read. If it is no secret, give the "
                    "variable another name",
                    path,
                )
            )
    return problems


def hide_values(interpolated: Mapping[Path, Interpolated]) -> None:
    """Let no message of this process show what came from the environment, where that is not to be seen."""
    for path, item in interpolated.items():
        hidden = _is_hidden(_field(path))
        for name, value in item.variables:
            if hidden or is_secret_name(name):
                hide_variable(name, value)
        if hidden and isinstance(item.value, str) and "/" in item.value:
            _hide_path(item.value, item.template)


def _hide_path(value: str, template: str) -> None:
    """Hide a path or a URI, and the parts of it that messages have: what stands before a glob, with which the
    names of the files found begin, and bucket and key without their scheme, as file systems name them.
    """
    hide(value, template)
    if "://" in value and "://" in template:
        hide(value.partition("://")[2], template.partition("://")[2])
    first = min((value.index(c) for c in _GLOB_CHARACTERS if c in value), default=None)
    if first is None:
        return
    cut = value.rfind("/", 0, first)
    rest = value[cut:]
    if cut > 0 and value[:cut].strip("/").count("/") and template.endswith(rest):
        _hide_path(value[:cut], template.removesuffix(rest))


def is_secret_place(path: Path) -> bool:
    """Return whether the value at `path` is not to be shown, by the names on the way to it."""
    field = _field(path)
    return field[:1] in [(section,) for section in _OUTSIDE] and any(
        isinstance(step, str) and is_secret_name(step) for step in field[1:]
    )


def _literal_fault(path: Path, value: Any) -> str | None:
    if path[:1] not in [(section,) for section in _OUTSIDE]:
        return None
    named = [step for step in path[1:] if isinstance(step, str) and is_secret_name(step)]
    if named and not isinstance(value, bool) and str(value).lower() not in ("", "true", "false", "none"):
        variable = named[-1].upper().replace("-", "_").replace(".", "_")
        return (
            f"found the value of a secret, which would be written to job.yaml; expected a variable of the "
            f'environment, "${{{variable}}}". Set it where linreg-dist is started'
        )
    is_address = path == ("cluster", "address") and "@" in str(value)
    if isinstance(value, str) and (is_address or holds_credentials(value)):
        return (
            "found an address with credentials in it, which would be written to job.yaml; expected one "
            f'without, or a variable of the environment such as "${{{_variable_for(path)}}}"'
        )
    return None


def _fault_in_template(path: Path, template: str) -> str | None:
    """Return what is wrong with the literal parts of a text with ``${VAR}``: they are written as they are."""
    for name in _WITH_DEFAULT.findall(template):
        if is_secret_name(name) or is_secret_place(path):
            return (
                f"found a default for ${{{name}}}, which is a secret and would be written to job.yaml; "
                f'expected "${{{name}}}" alone'
            )
    literal = path[:1] in [(section,) for section in _OUTSIDE] and _PASSWORD.search(template)
    if literal and "${" not in literal[1]:
        return (
            "found an address with a password in it, which would be written to job.yaml; expected a variable "
            "of the environment in its place"
        )
    return None


def _variable_for(path: Path) -> str:
    return "RAY_CLUSTER_URL" if path == ("cluster", "address") else "URL"


def _is_hidden(path: Path) -> bool:
    return path[:1] in [(section,) for section in _OUTSIDE] or any(
        path[: len(field)] == field for field in _DATA
    )


def _field(path: Path) -> Path:
    """Return which field of the spec a value is for; one in the matrix is for the field of its key."""
    if path[:1] != ("matrix",) or len(path) < 2:
        return path
    return (*str(path[1]).split("."), *path[3:])


def _leaves(node: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _leaves(value, (*path, index))
    elif node is not None:
        yield path, node
