from __future__ import annotations

import sys
from pathlib import Path

# The helpers beside these tests are imported as a plain module: `from blocks import …`.
sys.path.insert(0, str(Path(__file__).parent))
