"""A directive that lists the fields of the job spec, from its JSON Schema: ``{spec-fields}``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

from linreg_dist.jobspec import DataSpec, json_schema


class Fields(SphinxDirective):
    """The fields of every section of the job spec, each with its default and its sentence."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Return a section for each section of the spec."""
        lines = list(markdown(json_schema()))
        parent = nodes.section()
        parent.document = self.state.document
        nested_parse_with_titles(self.state, StringList(lines, "spec-fields"), parent)
        return list(parent.children)


def markdown(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the reference, as Markdown."""
    top = schema["properties"]
    yield from ("## Top level", "")
    yield from _table("", schema)
    for name, field in top.items():
        yield from _section(name, field, schema)


def _section(path: str, field: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    section = _resolved(field, schema)
    if "properties" in section:
        yield from ("", f"## {path}", "")
        yield from _table(path, section)
        for name, inner in section["properties"].items():
            yield from _section(f"{path}.{name}", inner, schema)


def _table(path: str, section: dict[str, Any]) -> Iterator[str]:
    yield from ("| field | default | what it is |", "|---|---|---|")
    for name, field in section["properties"].items():
        default = f"`{json.dumps(field['default'])}`" if "default" in field else ""
        if path == "data" and DataSpec.model_fields[name].is_required():  # in this file or the one it extends
            default = "required"
        text = field.get("description", "").replace("|", "\\|").replace("<", "\\<")
        yield f"| `{name}` | {default} | {text} |"


def _resolved(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a field refers to, if that is a section, also where it may be null."""
    for each in (field, *field.get("anyOf", ()), *field.get("allOf", ())):
        if "$ref" in each:
            found: dict[str, Any] = schema["$defs"][each["$ref"].rpartition("/")[2]]
            return found
    return field
