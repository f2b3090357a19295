"""Ray for one job: start or join a cluster, and train there."""
