"""Twice the digits of float64: arithmetic in pairs of numbers, and least squares with it."""
