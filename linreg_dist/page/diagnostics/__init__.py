"""Diagnostics on the page: residuals, single rows and features, from the pass over the rows after the fit."""
