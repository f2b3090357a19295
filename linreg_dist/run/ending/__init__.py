"""The end of a run: its result, page, exports and last look at the rows, or why it failed."""
