"""``python -m linreg_dist`` is ``linreg-dist``, for places that only know an interpreter."""

from __future__ import annotations

import os
import sys

# ``-m`` puts the current directory first on the import path, where a ``click.py`` among the data would be
# taken for the library. A checkout that is used without being installed needs it, and is its own code.
if (
    not sys.flags.safe_path
    and sys.path[:1] == [os.getcwd()]
    and not os.path.isfile("linreg_dist/__main__.py")
):
    del sys.path[0]

from linreg_dist.cli.main import main

if __name__ == "__main__":
    main()
