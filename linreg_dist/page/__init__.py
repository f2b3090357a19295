"""``report.html``: one run on one page, for the one who looks after it and for those it is shown to.

`build_page` gives its content as plain data, `render_page` makes HTML of that. Importing this package
loads neither the template engine nor the plotting library: `render_page` does.
"""

from linreg_dist.page.build import build_page
from linreg_dist.page.compare import MOST_RUNS, build_comparison
from linreg_dist.page.html import render_page
from linreg_dist.page.source import Source, epoch_lines

__all__ = ["MOST_RUNS", "Source", "build_comparison", "build_page", "epoch_lines", "render_page"]
