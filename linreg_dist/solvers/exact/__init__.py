"""The exact solver: one pass that sums moments, and a closed form or coordinate descent on the sums."""
