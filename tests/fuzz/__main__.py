"""Play many rounds: ``python -m tests.fuzz --rounds 1000 --seed 7 [--first N] [--only spec,model]``."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import traceback
from pathlib import Path

from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first round, to play one again")
    parser.add_argument("--only", default=",".join(TARGETS), help="names of targets, joined by commas")
    chosen = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="linreg-dist-fuzz-") as root:
        for name in chosen.only.split(","):
            target, _ = TARGETS[name]
            folder = Path(root) / name
            folder.mkdir()
            faults = 0
            for number in range(chosen.first, chosen.first + chosen.rounds):
                try:
                    target(folder, random.Random(f"{name}:{chosen.seed}:{number}"))
                except Exception:
                    faults += 1
                    print(f"-- {name} round {number} seed {chosen.seed}")
                    traceback.print_exc(limit=4, file=sys.stdout)
            print(f"{name}: {chosen.rounds} rounds, {faults} failed", flush=True)
            failed += faults
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
