"""The lock of a run: one driver at a time, on file systems and on object stores."""
