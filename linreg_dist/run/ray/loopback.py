"""A Ray for this machine alone: all that it listens on is the loopback interface.

Ray's own processes listen on every interface, unless the node's address is the loopback one; Ray chooses that
on systems where its clusters have one node only, and is told here to do so for one start. What PyTorch's
workers listen on is in `loopback_group`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"


@contextmanager
def ray_listens_on_loopback() -> Iterator[None]:
    """Let a Ray that is started within the block be a cluster of this machine only."""
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def is_on_loopback() -> bool:
    """Return whether the Ray that this process is connected to is one of this machine only."""
    import ray.util
    import ray.util.client

    is_client = ray.util.client.ray.is_connected()  # then this process is no part of the cluster
    return not is_client and str(ray.util.get_node_ip_address()) == LOOPBACK
