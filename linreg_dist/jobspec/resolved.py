"""A spec as it would run: written out, hashed, and compared with another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import yaml

from linreg_dist.jobspec.models import JobSpec
from linreg_dist.jobspec.reading.interpolation import Interpolated, escape, uninterpolated
from linreg_dist.jobspec.reading.problems import show_path
from linreg_dist.jobspec.reading.yaml_reader import NUMBER, Path
from linreg_dist.wording.text import safe_text

_HEADER = "# The job as it ran: every field, defaults included. ${...} is read from the environment again.\n"
_RESULT_FIELDS: dict[str, Any] = {
    **dict.fromkeys(("version", "data", "model", "solver", "tune"), True),
    "scaling": {"virtual_shards": True},
}
# Fields that came after the first release count only where they are used: what a run of before wrote, its
# checkpoints and statistics, stays valid.
_ADDED_LATER: dict[str, dict[str, Any]] = {
    "data": {"format": "auto", "version": None, "on_bad_file": "error"},
    "model": {"module": None, "module_args": {}},
}
_ABSENT = object()


def resolved_data(spec: JobSpec) -> dict[str, Any]:
    """Return every field of `spec` as plain data in the form of a file.

    What came from the environment is there as it was written, ``${VAR}``, so no secret gets out. Where
    ``${VAR}`` began a relative path, the folder it was relative to stands before it.
    """
    record = spec.interpolated()

    def visit(node: Any, path: Path) -> Any:
        if path in record:
            template = record[path].template
            return (_Plain if record[path].plain and template.isprintable() else _Quoted)(template)
        if isinstance(node, dict):
            return {key: visit(value, (*path, key)) for key, value in node.items()}
        if isinstance(node, list):
            return [visit(value, (*path, index)) for index, value in enumerate(node)]
        return escape(node) if isinstance(node, str) else node

    return {key: visit(value, (key,)) for key, value in spec.model_dump(mode="json").items()}


def resolved_yaml(spec: JobSpec, *, leave_out: Collection[str] = ()) -> str:
    """Return `resolved_data` as YAML, from which `load_spec` makes the same spec again, unless sections are
    left out.
    """
    tree = {key: value for key, value in resolved_data(spec).items() if key not in leave_out}
    text = yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return _HEADER + safe_text(text)  # within double quotes YAML reads the same escapes


def spec_hash(spec: JobSpec) -> str:
    """Return the SHA-256 (hex) of what determines the answer: equal specs must give equal models.

    Hashed are ``version``, ``data``, ``model``, ``solver``, ``tune`` and ``scaling.virtual_shards``, as
    canonical JSON. Left out are ``name``, ``run``, ``cluster``, ``outputs``, ``tracking`` and the rest of
    ``scaling``: they say where and how the job runs and what is written beside the model, so a run may resume
    with others. ``matrix`` is left out because each of its jobs has a spec of its own. Values from the
    environment count with what they were, not as ``${VAR}``; paths count as absolute paths, and what the
    files hold does not count.
    """
    text = json.dumps(_result_part(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def diff_specs(a: JobSpec, b: JobSpec, *, result_only: bool = False) -> list[str]:
    """Return a line ``path: old -> new`` for every field in which `b` differs from `a`, in the spec's order.

    Lists are compared as a whole. With `result_only`, only what `spec_hash` counts is compared. A value from
    the environment is shown as ``${VAR}``.
    """
    dump = _result_part if result_only else _whole
    old = dict(_leaves(dump(a), ()))
    new = dict(_leaves(dump(b), ()))
    lines = []
    for path in {**old, **new}:
        before, after = old.get(path, _ABSENT), new.get(path, _ABSENT)
        if before != after:
            shown = [_show(path, before, a.interpolated()), _show(path, after, b.interpolated())]
            note = " (its value differs)" if shown[0] == shown[1] else ""
            lines.append(f"{show_path(path)}: {shown[0]} -> {shown[1]}{note}")
    return lines


def _whole(spec: JobSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json")


def _result_part(spec: JobSpec) -> dict[str, Any]:
    dump = spec.model_dump(mode="json", include=_RESULT_FIELDS)
    for section, fields in _ADDED_LATER.items():
        for name, default in fields.items():
            if dump[section][name] == default:
                del dump[section][name]
    return dump


def _leaves(node: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, (*path, key))
    else:
        yield path, node


def _show(path: Path, value: Any, record: Mapping[Path, Interpolated]) -> str:
    if value is _ABSENT:
        return "(absent)"
    shown = uninterpolated(value, path, record)
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)


class _Plain(str):
    """A text to write without quotes, so that it is typed again when it is read."""


class _Quoted(str):
    """A text to write in quotes."""


class _Dumper(yaml.SafeDumper):
    """Quotes every text that either YAML 1.1 or 1.2 would take for something else."""

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        """Write lists of scalars on one line, unless one holds ``${VAR}`` without quotes."""
        flow = all(isinstance(item, str | int | float | None) for item in sequence)
        return super().represent_sequence(
            tag, sequence, flow and not any(type(i) is _Plain for i in sequence)
        )


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Some line breaks of Unicode would come back as blanks from within single quotes.
    style = None if text.isprintable() and safe_text(text) == text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(
    _Plain, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text))
)
_Dumper.add_representer(
    _Quoted, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style='"')
)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", NUMBER, [*"-+.0123456789"])
