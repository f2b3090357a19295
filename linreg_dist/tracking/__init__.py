"""Trackers: who is told of a run while it goes on and when it has ended, each in a file of its own."""
