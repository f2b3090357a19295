"""Sufficient statistics and what follows from them."""
