"""Row filters: conditions in the type of their column, and row groups that they rule out."""
