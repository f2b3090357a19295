"""What a person sees: progress, tables, reports."""

from linreg_dist.report.batch import batch_table
from linreg_dist.report.coefficients import coefficient_table
from linreg_dist.report.console import print_renderable
from linreg_dist.report.events import EventLines
from linreg_dist.report.follow import follow_metrics
from linreg_dist.report.inspection import inspection_table
from linreg_dist.report.model import evaluation_table, provenance_table
from linreg_dist.report.progress import ProgressDisplay
from linreg_dist.report.tables import result_table

__all__ = [
    "EventLines",
    "ProgressDisplay",
    "batch_table",
    "coefficient_table",
    "evaluation_table",
    "follow_metrics",
    "inspection_table",
    "print_renderable",
    "provenance_table",
    "result_table",
]
