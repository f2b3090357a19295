"""Training as every worker executes it."""
