"""The one pass of the exact solver: moments of row groups, lanes, folds and checkpoints."""
