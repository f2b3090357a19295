"""Train several jobs one after another as one driver of a cluster: ``ADDRESS`` and a list of specs on stdin.

A process of its own, because a test session has its own Ray; one for all jobs, because joining takes seconds.
"""

from __future__ import annotations

import json
import logging
import sys

import linreg_dist as lr


def main() -> None:
    import ray

    ray.init(sys.argv[1], log_to_driver=False, logging_level=logging.ERROR)
    for spec in json.load(sys.stdin):
        lr.train(spec)


if __name__ == "__main__":
    main()
