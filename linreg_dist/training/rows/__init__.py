"""Rows on the device that computes: loss, gradient and metrics over them."""
