"""Kernels of the exact solver: a row group, where it was decoded, to its sums."""
