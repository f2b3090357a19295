"""Files that commit 275e345 (0.1.0) wrote, and that every later version must still read; `make` wrote them."""
