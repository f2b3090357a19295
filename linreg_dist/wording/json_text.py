"""JSON that may have been written, or damaged, by somebody else: parsed within limits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

MOST_LEVELS = 100
"""Deepest nesting of lists and objects; our own documents have fewer than ten levels."""


def parse_json(text: str | bytes, *, finite: bool = False) -> Any:
    """Return what a JSON text stands for.

    Unlike `json.loads` it raises one kind of error whatever is wrong, bytes that are no text and a nesting
    without end included, and no text in what it returns has half a character (an escaped lone surrogate),
    which could not be printed.

    Args:
        text: the document; bytes are UTF-8.
        finite: make null of NaN, the infinities and numbers beyond the range of float64, which Python's own
            parser lets through and JSON does not have.

    Raises:
        ValueError: it is not JSON, or nested deeper than `MOST_LEVELS`.

    """
    options: dict[str, Any] = {}
    if finite:
        options = {"parse_constant": lambda _: None, "parse_float": _finite}
    if isinstance(text, bytes):
        text = text.decode()
    try:
        document = json.loads(text, **options)
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None
    _check_depth(document)
    return _with_whole_characters(document) if "\\ud" in text or "\\uD" in text else document


def parse_object(text: str | bytes, *, finite: bool = False) -> dict[str, Any]:
    """Return the object that a JSON text stands for; see `parse_json`.

    Raises:
        ValueError: as `parse_json`, or it is something else.

    """
    document = parse_json(text, finite=finite)
    if not isinstance(document, dict):
        raise ValueError(f"found {_KINDS.get(type(document), 'a number')}, expected an object")
    return document


_KINDS: dict[type, str] = {list: "a list", str: "a text", type(None): "null", bool: "true or false"}


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _check_depth(document: Any) -> None:
    level, depth = _nested([document]), 0
    while level:
        depth += 1
        if depth > MOST_LEVELS:
            raise ValueError("lists or objects are nested too deeply")
        level = _nested(
            inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)
        )


def _nested(nodes: Iterable[Any]) -> list[Any]:
    return [node for node in nodes if isinstance(node, dict | list)]


def _with_whole_characters(node: Any) -> Any:
    if isinstance(node, str):
        return node.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(node, list):
        return [_with_whole_characters(item) for item in node]
    if isinstance(node, dict):
        return {_with_whole_characters(key): _with_whole_characters(value) for key, value in node.items()}
    return node
