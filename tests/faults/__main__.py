"""``python -m tests.faults``: play rounds, print a line of JSON for each and a table at the end."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults.injuries import FAULTS
from tests.faults.rounds import Draw, Record, Suite
from tests.faults.summary import summarise


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="of the first round")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], choices=[0, 2])
    parser.add_argument("--faults", nargs="+", default=[], choices=list(FAULTS), metavar="FAULT")
    parser.add_argument("--output", type=Path, help="append the lines of JSON to this file too")
    parser.add_argument("--keep", type=Path, help="folder for the runs and their logs, which stay there")
    parser.add_argument(
        "--summarise",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="play nothing, tabulate these lines",
    )
    options = parser.parse_args()
    if options.summarise:
        lines = [line for file in options.summarise for line in file.read_text().splitlines()]
        print(summarise([Record.from_json(line) for line in lines]))
        return 0
    # In the background of a shell it is ignored, and the runs would inherit that: they are to be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="linreg-faults-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        records = []
        with Suite(folder) as suite:
            for number in range(options.first, options.first + options.rounds):
                record = suite.play(Draw.of(options.seed, number, options.workers, options.faults))
                records.append(record)
                print(record.to_json(), flush=True)
                if options.output:
                    with options.output.open("a") as file:
                        file.write(record.to_json() + "\n")
    print(summarise(records), file=sys.stderr)
    return 0 if all(record.result == "ok" for record in records) else 1


if __name__ == "__main__":
    sys.exit(main())
