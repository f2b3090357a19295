"""Runs that go on with other data: what is new is added, what is gone is taken away."""
