"""The command lines of the first minute: ``init`` and ``demo``."""
