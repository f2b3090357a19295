"""Files that 0.1.0 (commit 275e345) wrote and every later version must read; `make` wrote them."""
