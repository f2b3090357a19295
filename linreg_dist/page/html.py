"""HTML of a page: one self-contained document without scripts and with nothing to fetch."""

from __future__ import annotations

from importlib.resources import files

from linreg_dist.page.figures import draw
from linreg_dist.page.view import Figure, Page

_TEMPLATE, _STYLE = "report.html.jinja", "report.css"


def render_page(page: Page) -> str:
    """Return the document; the same page gives the same bytes.

    All text is escaped. The drawings and the style sheet are not: they are made here, and what a drawing
    takes from the data is escaped by matplotlib.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    drawings = {
        block.name: draw(block.plot, block.name)
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
    template = environment.get_template(_TEMPLATE)
    return template.render(
        page=page,
        drawings=drawings,
        bodies={name: Markup(drawing.body) for name, drawing in drawings.items()},  # noqa: S704 (see above)
        style=Markup(_read(_STYLE)),  # noqa: S704 (the package's own file)
    )


def _read(name: str) -> str:
    return files(__package__ or "").joinpath(name).read_text(encoding="utf-8")
