"""Progress of a run, followed and told."""
