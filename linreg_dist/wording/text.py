"""Text that is safe to show: no character of the data steers a terminal, hides, or reorders its neighbours.

Column names, levels, paths and what a remote job says are written by others. An escape character in them can
clear a screen or set a title; bidirectional controls show a text in another order than it has; characters
without width make two names look alike. Each is replaced by its escape as Python, YAML and JSON spell it.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

# Letters and marks that take no room: fillers of Hangul, joiners and vowel marks that show nothing.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
# Controls, formats (bidirectional marks and characters without width are among them), lone halves of a pair,
# line and paragraph separators.
_UNSAFE_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_LAYOUT = "\n\t"
_PLAIN = re.compile(r"[\n\t -~]*")
_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_text(text: str, *, keep: str = _LAYOUT) -> str:
    r"""Return `text` with every character that is unsafe to show as ``\x1b``, ``\u202e`` or ``\U000e0001``.

    Args:
        text: any text; a safe one comes back as it is, so that it may be applied twice.
        keep: characters that stay although they are controls; by default line breaks and tabs.

    """
    if _PLAIN.fullmatch(text) and keep == _LAYOUT:
        return text
    return "".join(c if c in keep or not _is_unsafe(c) else _escaped(c) for c in text)


def safe_name(name: str) -> str:
    """Return a name of the data on one line: `safe_text` without line breaks and tabs."""
    return safe_text(name, keep="")


def safe_document(document: Any) -> Any:
    """Return a JSON document whose texts, keys among them, are each `safe_name`: for tables, not files."""
    if isinstance(document, str):
        return safe_name(document)
    if isinstance(document, Mapping):
        return {safe_document(key): safe_document(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [safe_document(item) for item in document]
    return document


def safe_json(document: Any, **options: Any) -> str:
    r"""Return `document` as JSON that means exactly the same and is safe to show.

    Unsafe characters can stand within strings only, where ``\u009b`` is the same character to a reader.
    """
    text = json.dumps(document, ensure_ascii=False, **options)
    if _PLAIN.fullmatch(text):
        return text
    return "".join(c if c in _LAYOUT or not _is_unsafe(c) else json.dumps(c)[1:-1] for c in text)


def without_colours(text: str) -> str:
    """Return a program's output without the sequences that only colour it, which is no loss to a reader."""
    return _COLOURS.sub("", text)


def csv_cell(name: str) -> str:
    """Return a name as a cell of CSV that no spreadsheet takes for a formula: ``'`` stands before ``=cmd``.

    Source: OWASP, CSV Injection.
    """
    return f"'{name}" if name.startswith(_FORMULA) else name


def markdown_code(name: str) -> str:
    """Return a name as code in Markdown, also in a table's cell, from which it cannot break out.

    A backtick would end a code span and a bar a cell; a name with one of them, or with a backslash, which
    parsers treat in different ways before a bar, is written in HTML with numeric references instead.
    """
    plain = safe_name(name)
    if plain and not set("`|\\") & set(plain):
        return f"`{plain}`"
    return f"<code>{''.join(c if c.isalnum() or c == ' ' else f'&#{ord(c)};' for c in plain)}</code>"


def unsafe_characters(text: str) -> Iterator[str]:
    """Yield the characters of `text` that `safe_name` would replace."""
    return (c for c in text if _is_unsafe(c))


def _is_unsafe(character: str) -> bool:
    if " " <= character <= "~":
        return False
    category = unicodedata.category(character)
    # Tags are half assigned: none of their block shows anything.
    return category in _UNSAFE_CATEGORIES or character in _INVISIBLE or 0xE0000 <= ord(character) <= 0xE0FFF


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
