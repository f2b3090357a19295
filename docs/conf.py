"""Sphinx's settings: `make docs` builds the site from the Markdown in this folder, warnings being errors."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.fields import Fields  # noqa: E402 (the path has to be there)
from linreg_dist import __version__  # noqa: E402

project = "linreg_dist"
author = "The linreg_dist developers"
version = release = __version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinxcontrib.mermaid",
]
exclude_patterns = ["_build"]
man_pages = [("reference/commands", "linreg-dist", "distributed linear regression on Parquet", author, 1)]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # links such as operations.md#credentials, as on a code host
myst_fence_as_directive = ["mermaid"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the signature and the text say it
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"linreg_dist {__version__}"
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["pictures"]

_LINK = re.compile(r"\[(?P<text>[^\]\[]+)\]\((?P<target>[^)#:\s]+)(?:#[^)\s]*)?\)")
_NAME = re.compile(r"(``.*?``)|(\b\w+)_(?!\w)")


def _plain_links_outside(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn links to files outside this folder, which a code host follows, into the files' names."""
    folder = Path(app.env.doc2path(docname)).parent

    def plain(found: re.Match[str]) -> str:
        target = (folder / found["target"]).resolve()
        if target.is_relative_to(app.srcdir) or not target.exists():
            return found[0]
        name = str(target.relative_to(ROOT))
        return f"`{name}`" if found["text"].strip("`") in name else f"{found['text']} (`{name}`)"

    source[0] = _LINK.sub(plain, source[0])


def _literal_names(
    app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Keep the underscore of names such as ``coef_``, which reStructuredText takes for a link."""
    lines[:] = [_NAME.sub(lambda found: found[1] or f"{found[2]}\\_", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Add what this site needs beside the extensions."""
    app.connect("source-read", _plain_links_outside)
    app.connect("autodoc-process-docstring", _literal_names, priority=900)
    app.add_directive("spec-fields", Fields)
