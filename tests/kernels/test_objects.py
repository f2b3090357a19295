from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
import numpy as np
from linreg_dist.kernels.calls import fold_rows
x = np.arange(6, dtype=np.float64).reshape(2, 3)
gram, _ = fold_rows(list(x), None, np.empty(0, np.int64), 0, 3, np.zeros(2))
assert gram.tolist() == (x @ x.T).tolist(), gram
print("numba" in sys.modules)
"""


def loads_the_compiler(folder: Path | str) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"NUMBA_CACHE_DIR": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip() == "True"


@pytest.mark.slow  # compiles three times
def test_only_the_first_process_loads_the_compiler_and_damaged_code_is_never_run(tmp_path):
    assert loads_the_compiler(tmp_path)
    (kept,) = tmp_path.glob("*.o")
    assert not loads_the_compiler(tmp_path)
    kept.write_bytes(kept.read_bytes()[:-100])
    assert loads_the_compiler(tmp_path)
    assert not loads_the_compiler(tmp_path)
    # A folder that cannot be written to costs time, and nothing else.
    assert loads_the_compiler("/proc/none")
