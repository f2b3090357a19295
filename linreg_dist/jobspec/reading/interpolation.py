"""``${VAR}`` and ``${VAR:-default}`` in the text values of a spec."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from linreg_dist.jobspec.reading.layers import Layers
from linreg_dist.jobspec.reading.problems import Problem
from linreg_dist.jobspec.reading.yaml_reader import Path, plain_scalar

_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}|\$\{[^}]*\}?")


@dataclass(frozen=True)
class Interpolated:
    """What a text with ``${VAR}`` in it looked like before the environment was read."""

    template: str
    value: Any
    """What it became; once a field holds something else, the template no longer speaks for it."""
    plain: bool
    """Whether it stood without quotes, so that ``${EPOCHS}`` is a number again when it is read back."""
    variables: tuple[tuple[str, str], ...] = ()
    """Names and values of the variables in it."""


def interpolate(layers: Layers, environ: Mapping[str, str]) -> tuple[dict[Path, Interpolated], list[Problem]]:
    """Replace the references in `layers`; return what the texts looked like before, and what is wrong.

    As in a shell, the default of ``${VAR:-default}`` also stands in for an empty variable, and ``$${`` is a
    literal ``${``. A text without quotes is typed after replacement, as if its result had been written there.
    """
    record: dict[Path, Interpolated] = {}
    problems: list[Problem] = []
    for path, template in list(layers.strings()):
        if "${" not in template:
            continue
        origin = layers.origin(path)
        faults: list[str] = []
        text, variables = _replace(template, environ, faults)
        replaced = bool(variables)
        problems.extend(Problem(origin, fault, path) for fault in faults)
        plain = origin.mark is not None and origin.mark.plain and path in layers.origins
        value = plain_scalar(text) if plain and replaced else text
        layers.replace(path, value)
        if replaced:
            record[path] = Interpolated(template, value, plain, tuple(variables.items()))
    return record, problems


def uninterpolated(node: Any, path: Path, record: Mapping[Path, Interpolated]) -> Any:
    """Return `node`, found at `path`, as it was before the environment was read: fit to be shown."""
    if path in record:
        return record[path].template
    if isinstance(node, dict):
        return {key: uninterpolated(value, (*path, key), record) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [uninterpolated(value, (*path, index), record) for index, value in enumerate(node)]
    return node


def escape(text: str) -> str:
    """Return `text` so that `interpolate` gives it back unchanged."""
    return text.replace("${", "$${")


def _replace(template: str, environ: Mapping[str, str], faults: list[str]) -> tuple[str, dict[str, str]]:
    """Return the text, and the variables that were replaced in it with their values."""
    variables: dict[str, str] = {}

    def one(match: re.Match[str]) -> str:
        whole, name, default = match[0], match[1], match[2]
        if whole == "$${":
            return "${"
        if name is None:
            faults.append(
                f'found "{whole}", expected ${{VAR}} or ${{VAR:-default}}; a literal "${{" is written "$${{"'
            )
            return whole
        value = environ.get(name)
        variables[name] = value or ""
        if value is None and default is None:
            faults.append(
                f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            )
        return (value or default) if default is not None else (value or "")

    return _REFERENCE.sub(one, template), variables
