"""Pydantic's errors in plain English: what was found, what was expected, and the nearest known name."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from linreg_dist.jobspec.models import JobSpec
from linreg_dist.jobspec.reading.layers import Layers, has
from linreg_dist.jobspec.reading.problems import MOST_SHOWN, PathSet, Problem, in_order, show_path
from linreg_dist.jobspec.reading.yaml_reader import Path, plain_scalar
from linreg_dist.jobspec.secrets import is_secret_place

_LONGEST_SHOWN = 60

_EXPECTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "string_type": lambda _: "text",
    "bool_type": lambda _: "true or false",
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "finite_number": lambda _: "a finite number",
    "tuple_type": lambda _: "a list",
    "dict_type": lambda _: "a map of names to values",
    "model_type": lambda _: "a map of fields to values",
    "greater_than": lambda ctx: f"a number above {_number(ctx['gt'])}",
    "greater_than_equal": lambda ctx: f"a number of at least {_number(ctx['ge'])}",
    "less_than": lambda ctx: f"a number below {_number(ctx['lt'])}",
    "less_than_equal": lambda ctx: f"a number of at most {_number(ctx['le'])}",
    "too_short": lambda ctx: f"a list with at least {ctx['min_length']} element",
    "string_too_short": lambda _: "a text that is not empty",
    "expected": lambda ctx: str(ctx["expected"]),
}


def reword(errors: Iterable[ErrorDetails], layers: Layers, templates: Mapping[Path, str]) -> list[Problem]:
    """Return one problem per invalid value in `layers`.

    `templates` holds the texts that came from the environment as they were written: they are shown instead of
    what they became, so that no secret gets into a message.
    """
    found: dict[Path, tuple[bool, ErrorDetails]] = {}
    for error in errors:
        path, through_union = _real_path(error, layers.data)
        found.setdefault(path, (through_union, error))
    places = PathSet(found)
    drafts = []
    for path, (through_union, error) in found.items():
        # An element's own error says more than "not a text" or "too short" for the whole list.
        if not ((through_union or error["type"] == "too_short") and places.is_around(path)):
            at_key = error["type"] in ("missing", "extra_forbidden")
            drafts.append((Problem(layers.origin(path), "", path, at_key=at_key), error))
    drafts.sort(key=lambda draft: in_order(draft[0]))
    # The nearest names are looked up for those that will be shown.
    shown = [_problem(draft.path, error, layers, templates) for draft, error in drafts[:MOST_SHOWN]]
    return [*shown, *(draft for draft, _ in drafts[MOST_SHOWN:])]


def _real_path(error: ErrorDetails, data: Any) -> tuple[Path, bool]:
    """Return the error's place without the names that pydantic adds for the alternatives of a union."""
    path: list[str | int] = []
    steps = error["loc"]
    node: Any = data
    through_union = False
    for number, step in enumerate(steps):
        if has(node, step):
            node = node[step]
        elif error["type"] != "missing" or number < len(steps) - 1:
            through_union = True
            continue
        path.append(step)
    return tuple(path), through_union


def _problem(path: Path, error: ErrorDetails, layers: Layers, templates: Mapping[Path, str]) -> Problem:
    kind, ctx, value = error["type"], error.get("ctx", {}), layers.get(path)
    origin = layers.origin(path)
    if kind == "missing":
        return Problem(origin, _missing(path), path, at_key=True)
    if kind == "extra_forbidden":
        return Problem(origin, _unknown_key(path), path, at_key=True)
    shown = f'"{templates[path]}" from the environment' if path in templates else _describe(value)
    if path not in templates and is_secret_place(path):
        shown, value = "a value", None
    if kind == "refused":
        message = str(ctx["message"])
        text = f"found {shown}, {message}" if message.startswith("expected ") else message
        return Problem(origin, text, path)
    if kind == "literal_error":
        return Problem(origin, f"found {shown}, {_one_of(ctx, value, path in templates)}", path)
    wanted = _EXPECTED[kind](ctx) if kind in _EXPECTED else error["msg"]
    hint = _quotes_hint(kind, value, templates.get(path), path)
    return Problem(origin, f"found {shown}, expected {wanted}{hint}", path)


def _describe(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {_number(value)}"
    if isinstance(value, str):
        return f'"{value[:_LONGEST_SHOWN]}{"…" if len(value) > _LONGEST_SHOWN else ""}"'
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "a map" if value else "an empty map"
    return f"a {type(value).__name__}"


def _number(value: float) -> str:
    return (
        str(int(value))
        if isinstance(value, float) and value.is_integer() and abs(value) < 1e15
        else str(value)
    )


def _quotes_hint(kind: str, value: Any, template: str | None, path: Path) -> str:
    """Say what to do about quotes where they are what makes the difference."""
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'; put it in quotes: "{template or _describe(value).removeprefix("the number ")}"'
    if kind in ("int_type", "float_type") and isinstance(value, str):
        meant = plain_scalar(value)
        if isinstance(meant, int | float) and not isinstance(meant, bool):
            return "; remove the quotes"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):
        return f"; write {'true' if value.lower() in ('yes', 'on') else 'false'}"
    if kind == "model_type" and value is None:
        return "; remove the key to use the defaults"
    if path == ("data", "filter"):
        return '; write [[column, "<", value]], a list of conditions'
    if kind == "tuple_type" and isinstance(value, str) and template is None:
        return f"; write [{value}]"
    return ""


def _one_of(ctx: Mapping[str, Any], value: Any, secret: bool) -> str:
    choices = re.findall(r"'([^']*)'", str(ctx["expected"])) or [str(ctx["expected"])]
    expected = f"expected one of {', '.join(choices)}" if len(choices) > 1 else f"expected {choices[0]}"
    if not secret and isinstance(value, str) and value in choices and "'" not in str(ctx["expected"]):
        return f"{expected}; remove the quotes"
    close = [] if secret else difflib.get_close_matches(str(value).lower(), choices, n=1)
    return f'{expected}; did you mean "{close[0]}"?' if close else expected


def _missing(path: Path) -> str:
    field = _fields(path[:-1]).get(str(path[-1]))
    description = f": {field.description}" if field is not None and field.description else ""
    return f'the required field "{path[-1]}" is missing{description}'


def _unknown_key(path: Path) -> str:
    key, section = str(path[-1]), path[:-1]
    known = list(_fields(section))
    close = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.7)
    if close:
        return f'unknown key "{key}"; did you mean "{close[0]}"?'
    elsewhere = [show_path(place) for place in _places_of(key)]
    if elsewhere:
        return f'unknown key "{key}"; did you mean {" or ".join(elsewhere)}?'
    where = show_path(section) or "a job spec"
    return f'unknown key "{key}"; {where} has {", ".join(known)}'


def unknown_path(path: Path) -> str | None:
    """Return what is wrong with `path` as the place of a field; None if there is such a field."""
    for length in range(1, len(path) + 1):
        fields = _fields(path[: length - 1])
        if not fields and _is_open_map(path[: length - 1]):
            return None  # where any name is right
        if not fields:
            return f"{show_path(path[: length - 1])} is one value, which has no fields"
        if path[length - 1] not in fields:
            return _unknown_key(path[:length])
    return None


def _is_open_map(path: Path) -> bool:
    for length in range(1, len(path) + 1):
        field = _fields(path[: length - 1]).get(str(path[length - 1]))
        if field is not None and typing.get_origin(field.annotation) is dict:
            return True
    return False


def _fields(section: Path) -> dict[str, Any]:
    """Return the fields of the section at `section`; none where there is no section."""
    model: type[BaseModel] | None = JobSpec
    for step in section:
        field = model.model_fields.get(str(step)) if model is not None else None
        model = _model_in(field.annotation) if field is not None else None
    return dict(model.model_fields) if model is not None else {}


def _places_of(key: str) -> list[Path]:
    """Return where in the spec a field is called `key`."""
    places: list[Path] = []

    def visit(model: type[BaseModel], path: Path) -> None:
        for name, field in model.model_fields.items():
            if name == key:
                places.append((*path, name))
            inner = _model_in(field.annotation)
            if inner is not None:
                visit(inner, (*path, name))

    visit(JobSpec, ())
    return places


def field_paths() -> list[str]:
    """Return the dotted path of every field of a spec that is no section, in order."""
    paths: list[str] = []

    def visit(model: type[BaseModel], prefix: str) -> None:
        for name, field in model.model_fields.items():
            inner = _model_in(field.annotation)
            if inner is None:
                paths.append(f"{prefix}{name}")
            else:
                visit(inner, f"{prefix}{name}.")

    visit(JobSpec, "")
    return paths


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
