"""A Ray of this process's own, which `linreg_dist.train` joins."""

from __future__ import annotations

import logging
from typing import Any

from tests import clusters


def start_local_ray(**options: Any) -> None:
    """Start a Ray with room for three workers and the driver; ``options`` are `ray.init`'s."""
    import ray

    clusters.starting("a Ray")
    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        **options,
    )
