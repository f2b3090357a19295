"""Progress, tables and reports for people."""

from linreg_dist.console.batch import batch_table
from linreg_dist.console.coefficients import coefficient_table
from linreg_dist.console.events import EventLines
from linreg_dist.console.inspection import inspection_table
from linreg_dist.console.model import evaluation_table, provenance_table
from linreg_dist.console.progress import ProgressDisplay
from linreg_dist.console.tables import result_table
from linreg_dist.console.terminal import print_renderable

__all__ = [
    "EventLines",
    "ProgressDisplay",
    "batch_table",
    "coefficient_table",
    "evaluation_table",
    "inspection_table",
    "print_renderable",
    "provenance_table",
    "result_table",
]
