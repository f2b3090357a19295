"""A fitted model: coefficients, prediction, covariance, and its files."""
