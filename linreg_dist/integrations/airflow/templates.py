"""Values of a spec after templates in them were rendered: typed as YAML, as ``--set`` types them.

Jinja gives text only. Of ``{"solver": {"epochs": "{{ params.epochs }}"}}`` it makes ``"10"``, where the spec
has a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from linreg_dist.jobspec.reading.yaml_reader import YamlError, read_yaml

_MARKS = ("{{", "{%")


def typed(written: Any, rendered: Any) -> Any:
    """Return what was rendered, with the type that the text has in YAML wherever a template was written.

    Args:
        written: a value as the author wrote it; maps and lists are gone through.
        rendered: the same after Jinja.

    """
    if isinstance(written, str) and isinstance(rendered, str):
        return _from_yaml(rendered) if any(mark in written for mark in _MARKS) else rendered
    if isinstance(written, Mapping) and isinstance(rendered, Mapping):
        return {key: typed(written.get(key), value) for key, value in rendered.items()}
    if isinstance(written, list | tuple) and isinstance(rendered, list | tuple):
        if len(written) == len(rendered):
            return [typed(one, other) for one, other in zip(written, rendered, strict=True)]
        return list(rendered)
    return rendered


def as_run_name(text: str) -> str:
    """Return a text as a run's name, with a hyphen for what a name cannot have.

    Airflow's own names have such characters: ``manual__2026-11-27T21:28:11+00:00``.
    """
    return re.sub(r"[^A-Za-z0-9._-]+|\.\.+", "-", text).strip("-._")


def _from_yaml(text: str) -> Any:
    try:
        return read_yaml(text).data
    except YamlError:
        return text  # a text like "a: b: c" stands for itself
