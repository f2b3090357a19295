"""A group of workers on one machine whose PyTorch listens on the loopback interface only.

Beside Ray's own processes two things of PyTorch's listen: the store at which the workers meet, and gloo's or
NCCL's connections between them. Whoever reaches one of them can run code, as what they exchange is pickled.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ray.train.torch.config import (  # noqa: TID253 (`trainer` imports this module where it needs Ray)
    TorchConfig,
    _set_torch_distributed_env_vars,
    _setup_torch_process_group,
    _TorchBackend,
)
from torch._C._distributed_c10d import TCPStore  # where its types are; torch.distributed has it too

from linreg_dist.run.ray.loopback import LOOPBACK

_stores: list[Any] = []  # of this worker's process; a store ends with its last reference


@dataclass
class LoopbackTorchConfig(TorchConfig):  # type: ignore[misc]  # Ray's classes are untyped
    """`TorchConfig` whose workers, all of this machine, meet and talk on the loopback interface."""

    @property
    def backend_cls(self) -> type[_LoopbackBackend]:
        """The class that prepares a group of workers."""
        return _LoopbackBackend


class _LoopbackBackend(_TorchBackend):  # type: ignore[misc]
    """Does what Ray's own backend does, with a store that listens on one interface."""

    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        import ray

        num_workers = len(worker_group)
        port = worker_group.execute_single(0, _open_store, num_workers, backend_config.timeout_s)
        worker_group.execute(_keep_to_loopback, port)
        worker_group.execute(_set_torch_distributed_env_vars)
        ray.get(
            [
                worker_group.execute_single_async(
                    rank,
                    _setup_torch_process_group,
                    backend=backend_config.backend or "gloo",
                    world_rank=rank,
                    world_size=num_workers,
                    init_method="env://",
                    timeout_s=backend_config.timeout_s,
                )
                for rank in range(num_workers)
            ]
        )


def _open_store(num_workers: int, timeout_s: int) -> int:
    """Open the store at which the workers meet, in the process of rank 0; return its port."""
    listener = socket.create_server((LOOPBACK, 0))
    port: int = listener.getsockname()[1]
    store = TCPStore(
        LOOPBACK,
        port,
        num_workers,
        is_master=True,
        timeout=timedelta(seconds=timeout_s),
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )
    _stores.append(store)
    return port


def _keep_to_loopback(port: int) -> None:
    """Tell PyTorch in a worker's process where the workers meet, and which interface they talk on."""
    os.environ["MASTER_ADDR"] = LOOPBACK
    os.environ["MASTER_PORT"] = str(port)
    os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "True"  # the store is there: rank 0 opens no other
    names = {name for _, name in socket.if_nameindex()}
    for interface in ("lo", "lo0"):
        if interface in names:
            os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = interface
