"""`train` and `fit`, as Python code and notebooks call them: with progress shown, on rows in memory too."""
