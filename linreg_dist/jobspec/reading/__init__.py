"""Reading of job specs: YAML with positions, layers, variables, and every mistake in plain words."""
