"""What every worker executes."""
