"""`Replay`: an operation on fixed tensors that is run again and again.

A step on a GPU is some sixty small operations, each of which takes the host longer to launch than the GPU to
do. As a CUDA graph they are launched together. Elsewhere the operation is simply called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

Operation = Callable[[], None]
Capture = Callable[[Operation], Operation]

_WARM_UPS = 2


class Replay:
    """An operation, captured at its first call where that is possible.

    Args:
        operation: works on the same tensors each time, asks the device for no value, and allocates nothing
            that outlives it.
        changes: the tensors that it changes: a capture tries it out first, and puts them back.
        capture: returns what repeats the operation; None calls it each time.

    """

    def __init__(
        self, operation: Operation, changes: Sequence[torch.Tensor], capture: Capture | None
    ) -> None:
        self._operation, self._changes, self._capture = operation, list(changes), capture

    def __call__(self) -> None:
        """Run the operation once."""
        if self._capture is not None:
            capture, self._capture = self._capture, None
            before = [tensor.clone() for tensor in self._changes]
            try:
                self._operation = capture(self._operation)
            except RuntimeError as error:
                logger.warning(
                    "steps could not be captured as a CUDA graph and are launched one operation at a time, "
                    "which is slower: %s",
                    str(error).partition("\n")[0],
                )
            for tensor, value in zip(self._changes, before, strict=True):
                tensor.copy_(value)
        self._operation()


def capture_for(device: torch.device) -> Capture | None:
    """Return how operations are captured on a device; None where they are not."""
    return _as_cuda_graph if device.type == "cuda" else None


def _as_cuda_graph(operation: Operation) -> Operation:
    """Try an operation out on a stream of its own, as torch asks for, and capture it.

    Raises:
        RuntimeError: it does something that cannot be captured.

    """
    aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UPS):
            operation()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    # Other threads may copy blocks meanwhile, which is no part of this.
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        operation()
    return graph.replay
