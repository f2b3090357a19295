"""Numbers and results in words: the same on the console and on a run's page."""
