"""``python -m linreg_dist`` is ``linreg-dist``, for places where only an interpreter is at hand."""

from __future__ import annotations

from linreg_dist.cli.main import main

if __name__ == "__main__":
    main()
