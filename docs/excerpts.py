"""Excerpts of the code in the documents: written here, so that they are what the code says.

A marker names a file and a function or class of it, and the block of code after it is this program's::

    <!-- excerpt: linreg_dist/data/plan.py EpochPlan.slices -->

``make docs`` renews all blocks; where a function has moved, it is found by its name and the marker is mended
too. A test fails while a block differs from the code.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "linreg_dist"
MARKER = re.compile(
    r"<!-- excerpt: (\S+) (\S+) -->\n(?:```python\n.*?^```\n)?", flags=re.MULTILINE | re.DOTALL
)
MOST_LINES = 20

Definition = ast.FunctionDef | ast.ClassDef


def renewed(text: str) -> str:
    """Return a document with its excerpts as the code is now.

    Raises:
        LookupError: a marker names what is in no file, or in several.

    """
    return MARKER.sub(lambda found: _block(found[1], found[2]), text)


def _block(path: str, name: str) -> str:
    file, definition = _find(path, name)
    code = _without_docstring(file.read_text().splitlines(), definition)
    if len(code) > MOST_LINES:
        indent = re.match(r"\s*", code[MOST_LINES - 1])
        code = [*code[: MOST_LINES - 1], f"{indent[0] if indent else ''}..."]
    return "\n".join([f"<!-- excerpt: {file.relative_to(ROOT)} {name} -->", "```python", *code, "```", ""])


def _find(path: str, name: str) -> tuple[Path, Definition]:
    at_place = _definition(ROOT / path, name) if (ROOT / path).is_file() else None
    if at_place is not None:
        return ROOT / path, at_place
    found = [(file, each) for file in PACKAGE.rglob("*.py") if (each := _definition(file, name)) is not None]
    if len(found) != 1:
        files = ", ".join(str(file.relative_to(ROOT)) for file, _ in found) or "no file"
        raise LookupError(
            f"{name} is not in {path}, and in {files}; expected one. Name another in the document"
        )
    return found[0]


def _definition(file: Path, name: str) -> Definition | None:
    body: list[ast.stmt] = ast.parse(file.read_text()).body
    found: Definition | None = None
    for part in name.split("."):
        found = next(
            (each for each in body if isinstance(each, Definition) and each.name == part),
            None,
        )
        if found is None:
            return None
        body = found.body
    return found


def _without_docstring(lines: list[str], definition: Definition) -> list[str]:
    first = min([definition.lineno, *(each.lineno for each in definition.decorator_list)])
    skipped: range = range(0)
    if ast.get_docstring(definition, clean=False) is not None:
        docstring = definition.body[0]
        skipped = range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1)
    numbers = [n for n in range(first, (definition.end_lineno or first) + 1) if n not in skipped]
    indent = len(lines[first - 1]) - len(lines[first - 1].lstrip())
    return [lines[n - 1][indent:] for n in numbers]


def main() -> int:
    """Renew all documents; return 1 where a marker leads nowhere."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        text = page.read_text()
        try:
            now = renewed(text)
        except LookupError as error:
            print(f"{page.relative_to(ROOT)}: {error}", file=sys.stderr)
            return 1
        if now != text:
            page.write_text(now)
            print(f"{page.relative_to(ROOT)} is renewed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
