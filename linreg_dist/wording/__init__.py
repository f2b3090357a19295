"""How numbers and results are put into words: the same on the console and on a run's page."""
