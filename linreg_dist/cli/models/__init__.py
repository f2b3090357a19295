"""Verbs about saved models."""
