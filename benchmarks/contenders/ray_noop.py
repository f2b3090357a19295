"""What Ray costs by itself: a ``TorchTrainer`` whose workers do nothing, to hold our start-up against."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from functools import partial
from typing import Any

from benchmarks.contender import Contender, Grid, Outcome
from benchmarks.problems import Dataset


def _nothing(config: dict[str, Any]) -> float:
    return time.time()


def _run(dataset: Dataset, grid: Grid, *, num_workers: int) -> Outcome:
    import ray
    import ray.train
    from ray.train.torch import TorchTrainer

    cores = len(os.sched_getaffinity(0))
    ray.init(
        address="local",
        num_cpus=max(cores, num_workers),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    with tempfile.TemporaryDirectory() as storage:
        trainer = TorchTrainer(
            _nothing,
            train_loop_config={},
            scaling_config=ray.train.ScalingConfig(num_workers=num_workers),
            run_config=ray.train.RunConfig(
                name="noop",
                storage_path=storage,
                logging_config=ray.train.LoggingConfig(log_level="ERROR"),
            ),
        )
        entered = trainer.fit().return_value
        ray.shutdown()
    return Outcome(entered, entered, [], note="start-up and teardown only")


CONTENDERS = tuple(
    Contender(
        f"ray_noop_{number}",
        f"TorchTrainer with {number} worker(s) that return at once",
        partial(_run, num_workers=number),
        single_process=False,
    )
    for number in (1, 2)
)
