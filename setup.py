"""What pyproject.toml cannot say of the package: its README as it reads away from the repository.

Links to files of the repository, and pictures, lead nowhere on a package index: there they are text or gone.
"""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup

_PICTURE = re.compile(r"^!\[[^\]]*\]\((?!https?:)[^)]+\)\n+", re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?!https?:|#)[^)\s]+\)")
_NOTE = "\n\nThe documentation and the pictures are in the repository, in `docs/`.\n"


def readme_alone(text: str) -> str:
    """Return the README without links and pictures that need the repository."""
    return _LINK.sub(r"\1", _PICTURE.sub("", text)).rstrip() + _NOTE


if __name__ == "__main__":
    text = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
    setup(long_description=readme_alone(text), long_description_content_type="text/markdown")
