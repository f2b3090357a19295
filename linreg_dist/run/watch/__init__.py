"""Watches over a run: stuck workers, this process, the head, and interrupts."""
