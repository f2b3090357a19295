"""HTML of a page: one self-contained document without scripts and with nothing to fetch."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from linreg_dist.page.svg import draw
from linreg_dist.page.view import Figure, Page

_TEMPLATE, _STYLE = "report.html.jinja", "report.css"


def render_page(page: Page) -> str:
    """Return the document; the same page gives the same bytes.

    All text is escaped. The drawings and the style sheet are not: they are made here, and what a drawing
    takes from the data is escaped where it is drawn. No style holds but the one whose hash the page states.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    drawings = {
        block.name: [(drawing, Markup(drawing.body)) for drawing in draw(block.plot)]  # noqa: S704 (see above)
        for part in page.sections
        for block in part.blocks
        if isinstance(block, Figure)
    }
    environment = Environment(
        loader=FunctionLoader(_read),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style = "\n" + _read(_STYLE)
    template = environment.get_template(_TEMPLATE)
    return template.render(
        page=page,
        drawings=drawings,
        style=Markup(style),  # noqa: S704 (the package's own file)
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )


def _read(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")
