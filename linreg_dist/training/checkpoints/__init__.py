"""Checkpoints of training: of an iterative fit, and of passes over the data."""
