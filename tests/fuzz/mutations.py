"""Damage that can be repeated: bytes, lines of text and JSON values, changed as a seed says."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

STRANGE: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    10**400,
    0.0,
    -0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "0",
    "\0",
    "\x1b[31m",
    "\ud800",
    "a" * 5000,
    "../../etc",
    "${HOME}",
    "s3://",
    [],
    [[]],
    [None],
    {},
    {"a": {}},
]
_WORDS = [
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b'"',
    b"\n",
    b"  ",
    b"- ",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!",
    b"| ",
    b"#",
    b"\t",
]


def damage_bytes(content: bytes, rng: random.Random, start: int = 0, stop: int | None = None) -> bytes:
    """Change, insert, remove, repeat or cut some bytes between ``start`` and ``stop``."""
    changed = bytearray(content)
    stop = len(changed) if stop is None else stop
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        stop = min(stop, len(changed))
        if stop <= start:
            break
        place = rng.randrange(start, stop)
        kind = rng.randrange(8)
        if kind < 3:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 3:
            changed[place] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        elif kind == 4:
            changed[place:place] = rng.choice(_WORDS)
        elif kind == 5:
            del changed[place : place + rng.choice([1, 1, 8, 100])]
        elif kind == 6:
            piece = changed[place : place + rng.choice([1, 8, 100])]
            changed[place:place] = piece * rng.choice([1, 1, 20])
        else:
            del changed[place:]
    return bytes(changed)


def damage_json(document: Any, rng: random.Random) -> Any:
    """Replace, remove, add, swap or rename a value somewhere in a JSON document."""
    changed = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 1, 2])):
        parents = list(_containers(changed))
        parent = rng.choice(parents)
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        kind = rng.randrange(6)
        if not keys or kind == 0:
            _add(parent, rng)
            continue
        key = rng.choice(keys)
        if kind == 1:
            del parent[key]
        elif kind == 2 and isinstance(parent, list):
            rng.shuffle(parent)
        elif kind == 3 and isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
            parent[key] = parent[key] * rng.choice([-1, 2, 0.5, 1 + 1e-9]) + rng.choice([0, 1])
        elif kind == 4:
            other = rng.choice(keys)
            parent[key], parent[other] = parent[other], parent[key]
        else:
            parent[key] = copy.deepcopy(rng.choice(STRANGE))
    return changed


def to_text(document: Any) -> bytes:
    """Return a document as JSON, with whatever Python can write that JSON cannot."""
    return json.dumps(document).encode(errors="surrogatepass")


def _add(parent: Any, rng: random.Random) -> None:
    value = copy.deepcopy(rng.choice(STRANGE))
    if isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), value)
    else:
        parent[rng.choice(["x", "", "name", "version", "columns", "\x1b"])] = value


def _containers(node: Any) -> list[Any]:
    found = []
    level = [node]
    while level:
        found += [item for item in level if isinstance(item, dict | list)]
        level = [
            inner
            for item in level
            if isinstance(item, dict | list)
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
    return found or [[]]
