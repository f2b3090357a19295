"""Verbs about jobs on a cluster."""
