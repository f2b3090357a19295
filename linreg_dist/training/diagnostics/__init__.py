"""Diagnostics of a finished fit: one pass over the rows, or over a bounded sample of their row groups.

`diagnose` is all that others call. It reads in the process that calls it, with numpy alone, so its numbers do
not depend on how many workers there were.
"""

from linreg_dist.training.diagnostics.diagnosis import Subject, diagnose

__all__ = ["Subject", "diagnose"]
