"""YAML to plain data, with the position of every key and value.

PyYAML reads YAML 1.1, where ``1e-3`` is text, ``no`` is false, ``012`` is ten, ``12:30:45`` is a number,
``=`` is an error and the last of two equal keys silently wins. All of these are plausible in a job spec:
learning rates, column names, levels, times, filter operators. So the document is composed by PyYAML and
built here by the rules of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), with two deviations: a
whole number with a leading zero stays text, because as a level it is a code and not a quantity; and merge
keys (``<<``) work.

JSON is YAML, so JSON files need nothing more than a blank for each tab.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Path = tuple[str | int, ...]
"""The place of a value in a document: ``("data", "features", 0)``."""

_MAX_DIGITS = 1000  # Python refuses to convert much longer ones; as a float they become infinite
_MAX_NODES = 100_000  # a few lines of nested aliases or merge keys can stand for billions of values
_MAX_DEPTH = 100
_TOO_DEEP = "lists or maps are nested too deeply in this file"

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
NUMBER = re.compile(f"(?:{_INT.pattern}|{_OCTAL.pattern}|{_HEX.pattern}|{_FLOAT.pattern})\\Z")
"""Matches the texts that are numbers without quotes; whoever writes YAML must quote them."""
_INFINITE = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


@dataclass(frozen=True)
class Mark:
    """The position of a value in its file; lines and columns count from 1."""

    line: int
    column: int
    key_line: int
    """The position of its key; for an element of a list, that of the value."""
    key_column: int
    plain: bool
    """Whether it is a scalar without quotes, to which the rules for numbers and words apply."""


@dataclass(frozen=True)
class Document:
    """A file as plain data."""

    data: Any
    marks: dict[Path, Mark] = field(default_factory=dict)


class YamlError(Exception):
    """The text is not YAML, or not YAML that a job spec can be; one fault per item of `faults`."""

    def __init__(self, faults: list[tuple[int, int, str]]) -> None:
        super().__init__("; ".join(message for _, _, message in faults))
        self.faults = faults
        """(line, column, message)"""


def plain_scalar(text: str) -> Any:
    """Return what an unquoted YAML scalar means: None, a bool, an int, a float or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MAX_DIGITS and _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _INFINITE.fullmatch(text):
        return float(match[1] + "inf")
    return text


def read_yaml(text: str) -> Document:
    """Read one YAML or JSON document.

    Raises:
        YamlError: the text is no YAML, holds several documents, equal keys, unknown tags or endless aliases.

    """
    try:
        node = yaml.compose(_without_tabs(text), Loader=_Loader)
        if node is None:
            return Document(None)
        builder = _Builder()
        data = builder.build(node, (), None)
    except RecursionError:
        raise YamlError([(1, 1, _TOO_DEEP)]) from None
    except yaml.MarkedYAMLError as error:
        raise YamlError([_describe_syntax(error)]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        raise YamlError(
            [(line, column, f"not YAML: the character U+{int(error.character):04X} is not allowed")]
        ) from None
    if builder.faults:
        raise YamlError(sorted(builder.faults))
    return Document(data, builder.marks)


class _Loader(yaml.SafeLoader):
    """Composes nodes; plain scalars are left to `plain_scalar`, so no rule of YAML 1.1 applies.

    It stops at `_MAX_NODES` values and `_MAX_DEPTH` levels, so that a long file is refused as soon as it is
    known to be too long.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._count = self._depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Compose one node and what is in it."""
        self._count += 1
        self._depth += 1
        if self._count > _MAX_NODES or self._depth > _MAX_DEPTH:
            too_many = f"this file holds over {_MAX_NODES} values; is this the spec?"
            message = _TOO_DEEP if self._depth > _MAX_DEPTH else too_many
            raise YamlError([(self.line + 1, self.column + 1, message)])
        node: Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


_SCALAR_TAG = "tag:yaml.org,2002:scalar"  # apart from an explicit !!str, which keeps a scalar text
# The stubs hold these two for constants of the instance; PyYAML reads them from the class.
setattr(_Loader, "DEFAULT_SCALAR_TAG", _SCALAR_TAG)  # noqa: B010
setattr(_Loader, "yaml_implicit_resolvers", {})  # noqa: B010


def _without_tabs(text: str) -> str:
    """Blank the tabs of a JSON document, where they are legal and YAML refuses them; columns stay right."""
    if "\t" not in text or not text.lstrip().startswith("{"):
        return text
    try:
        json.loads(text)
    except ValueError:
        return text
    return text.replace("\t", " ")  # valid JSON has no bare tab within a string


class _Builder:
    """Turns composed nodes into data, noting positions and faults on the way."""

    def __init__(self) -> None:
        self.marks: dict[Path, Mark] = {}
        self.faults: list[tuple[int, int, str]] = []
        self._open: set[int] = set()
        self._count = 0

    def build(self, node: Node, path: Path, key: Node | None) -> Any:
        """Return the data of `node`, found at `path` under `key`."""
        line, column = _position(node)
        key_line, key_column = _position(key) if key is not None else (line, column)
        plain = isinstance(node, ScalarNode) and node.style is None
        self.marks[path] = Mark(line, column, key_line, key_column, plain)
        self._count_one(node)
        if len(path) > _MAX_DEPTH:
            raise YamlError([(line, column, _TOO_DEEP)])
        if id(node) in self._open:
            raise YamlError([(line, column, "an alias must not contain itself")])
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                self._check_tag(node, "seq")
                return [self.build(item, (*path, index), None) for index, item in enumerate(node.value)]
            if isinstance(node, MappingNode):
                return self._mapping(node, path)
            raise TypeError(f"PyYAML composed an unknown node: {node!r}")
        finally:
            self._open.discard(id(node))

    def _count_one(self, node: Node) -> None:
        self._count += 1
        if self._count > _MAX_NODES:
            message = f"the aliases in this file stand for over {_MAX_NODES} values; write less"
            raise YamlError([(*_position(node), message)])

    def _scalar(self, node: ScalarNode) -> Any:
        self._check_tag(node, "scalar", "str")
        text = _join_surrogates(node.value)
        return plain_scalar(text) if node.style is None and node.tag == _SCALAR_TAG else text

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        self._check_tag(node, "map")
        self._check_duplicates(node)
        result: dict[str, Any] = {}
        for key, value in self._pairs(node):
            name = _join_surrogates(key.value)
            if name not in result:  # a mapping's own keys come first and win over merged ones
                result[name] = self.build(value, (*path, name), key)
        return result

    def _pairs(self, node: MappingNode) -> Iterator[tuple[ScalarNode, Node]]:
        """Yield the keys and values of `node`: its own first, then those of the mappings merged into it."""
        sources: list[Node] = []
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.faults.append((*_position(key), "found a list or a map as a key, expected text"))
            elif key.value == "<<" and key.style is None:
                sources.extend(value.value if isinstance(value, SequenceNode) else [value])
            else:
                yield key, value
        for source in sources:
            self._count_one(source)  # what is merged counts also where it brings no new key
            if id(source) in self._open:
                raise YamlError([(*_position(source), "an alias must not contain itself")])
            if isinstance(source, MappingNode):
                yield from self._pairs(source)
            else:
                message = (
                    'the merge key "<<" takes an alias of a map, such as <<: *defaults, or a list of them'
                )
                self.faults.append((*_position(source), message))

    def _check_duplicates(self, node: MappingNode) -> None:
        first: dict[str, Node] = {}
        for key, _ in node.value:
            if isinstance(key, ScalarNode) and first.setdefault(key.value, key) is not key:
                line, column = _position(first[key.value])
                message = f'the key "{key.value}" stands here twice, first at {line}:{column}; remove one'
                self.faults.append((*_position(key), message))

    def _check_tag(self, node: Node, *allowed: str) -> None:
        shown = node.tag.replace("tag:yaml.org,2002:", "!!").rstrip(",")
        if shown not in [f"!!{name}" for name in allowed]:
            hint = f'; a text that begins with "!" needs quotes: "{shown}"' if shown[1:2] != "!" else ""
            self.faults.append((*_position(node), f"the tag {shown} is not supported; remove it{hint}"))


def _position(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _join_surrogates(text: str) -> str:
    """Join the two halves in which JSON escapes a character beyond the basic plane."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _describe_syntax(error: yaml.MarkedYAMLError) -> tuple[int, int, str]:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    problem = error.problem or "it cannot be parsed"
    if "document" in problem:
        return line, column, "found a second document, expected one per file; remove this and what follows"
    context = f" {error.context}" if error.context else ""
    return line, column, f"not YAML: {problem}{context}; {_syntax_hint(problem)}"


def _syntax_hint(problem: str) -> str:
    hints = {
        "'\\t'": "indent with blanks, not tabs",
        "cannot start any token": "put quotes around a text that begins with this character",
        "mapping values": 'put quotes around a text with ": " in it, and check the indentation',
        "undefined alias": 'a text that begins with "*" needs quotes',
        "end": "a quote or a bracket is not closed",
        "but got": 'inside [ ] and { }, put quotes around a text with one of , : [ ] { } in it: "${VAR}"',
    }
    return next(
        (hint for part, hint in hints.items() if part in problem), "check quotes and indentation here"
    )
