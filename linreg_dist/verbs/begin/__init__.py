"""The verbs of the first minute: `init` and `demo`."""
