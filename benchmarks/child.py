"""One contender, once, in a process of its own: ``python -m benchmarks.child``, started by `isolate`.

The limit on cores is set before anything heavy is imported, so that every library sizes its threads by it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any


def main(request_file: str, answer_file: str) -> None:
    """Run what the request asks for and write the answer."""
    request = json.loads(Path(request_file).read_text())
    if request["num_cpus"] is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: request["num_cpus"]])

    from benchmarks.contender import Grid, UnavailableError
    from benchmarks.contenders import CONTENDERS
    from benchmarks.problems import Dataset

    contender = CONTENDERS[request["contender"]]
    dataset = Dataset.open(Path(request["dataset"]))
    try:
        outcome = contender.run(dataset, Grid(**request["grid"]))
    except UnavailableError as error:
        answer: dict[str, Any] = {"unavailable": str(error)}
    else:
        answer = {
            "outcome": asdict(outcome),
            "cores": len(os.sched_getaffinity(0)),
            "peak_rss_mb": peak_rss_mb() if contender.single_process else None,
        }
    Path(answer_file).write_text(json.dumps(answer))


def peak_rss_mb() -> float:
    """Return the most memory this process ever had resident, in 10⁶ bytes.

    ``getrusage`` would not do: its value survives ``exec``, so it starts at that of the parent process.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("/proc/self/status has no line VmHWM; the benchmarks need Linux")


if __name__ == "__main__":
    main(*sys.argv[1:])
