"""The JSON Schema of the job spec, for editors and for tools that check specs without this package."""

from __future__ import annotations

from typing import Any

from linreg_dist.jobspec.models import JobSpec

_TEMPLATE = "FromEnvironment"
_REFERENCE = {"$ref": f"#/$defs/{_TEMPLATE}"}
_TEMPLATE_SCHEMA = {
    "type": "string",
    "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^{}]*)?\}",
    "description": "Read from the environment: ${VAR} or ${VAR:-default}.",
}
_EXTENDS = {
    "type": "string",
    "minLength": 1,
    "description": "Another spec file, relative to this one, whose fields apply where this file has none: "
    "maps are merged, lists replaced. It cannot extend a third.",
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a spec file, ``version: 1``.

    It keeps to keywords that mean the same in draft 7, which is what editors read. It says what each field
    takes; conflicts between fields are found by `load_spec` only. A scalar field also takes ``${VAR}``.
    """
    schema = JobSpec.model_json_schema(mode="validation")
    definitions = {name: _section(body) for name, body in sorted(schema["$defs"].items())}
    # A file that extends another may leave required fields to it, so they are required of other files only.
    required = {
        name: {"required": definitions[definition].pop("required")}
        for name, definition in (("data", "DataSpec"), ("tune", "TuneSpec"))
    }
    body = _section(schema)
    version = {"version": body["properties"].pop("version"), "extends": _EXTENDS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:linreg-dist:job-spec:1",
        "title": "linreg-dist job spec, version 1",
        "description": "One training job: what to read, what to minimise, how, and where.",
        "type": "object",
        "additionalProperties": False,
        "properties": {**version, **body["properties"]},
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": body["required"], "properties": required},
        "$defs": {**definitions, _TEMPLATE: _TEMPLATE_SCHEMA},
    }


def _section(body: dict[str, Any]) -> dict[str, Any]:
    """Return a section's schema without the titles that pydantic makes of the fields' names."""
    section = {key: value for key, value in body.items() if key not in ("title", "$defs")}
    section["properties"] = {name: _field(field) for name, field in body["properties"].items()}
    return section


def _field(field: dict[str, Any]) -> dict[str, Any]:
    field = _with_template({key: value for key, value in field.items() if key != "title"})
    if "$ref" in str(field) and isinstance(field.get("default"), dict):
        del field["default"]  # the section's own fields say it
    return field


def _with_template(schema: dict[str, Any]) -> dict[str, Any]:
    """Let every scalar within `schema` also be ``${VAR}``; texts without a pattern can be already."""
    schema = dict(schema)
    if isinstance(schema.get("items"), dict):
        schema["items"] = _with_template(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = _with_template(schema["additionalProperties"])
    alternatives = schema.get("anyOf")
    if alternatives is not None:
        schema["anyOf"] = [
            _with_template(item) if item.get("type") == "array" else item for item in alternatives
        ]
        if not any(map(_takes_template, alternatives)) and any(map(_is_scalar, alternatives)):
            schema["anyOf"].append(_REFERENCE)
        return schema
    if not _is_scalar(schema) or _takes_template(schema):
        return schema
    kept: dict[str, Any] = {key: schema.pop(key) for key in ("description", "default") if key in schema}
    return {"anyOf": [schema, _REFERENCE], **kept}


def _is_scalar(schema: dict[str, Any]) -> bool:
    return schema.get("type") in ("string", "number", "integer", "boolean") or "const" in schema


def _takes_template(schema: dict[str, Any]) -> bool:
    return schema.get("type") == "string" and not schema.keys() & {"pattern", "enum", "const"}
