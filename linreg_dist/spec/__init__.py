"""The job spec: how it is read and checked."""
