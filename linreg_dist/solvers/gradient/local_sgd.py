"""Local SGD: workers that take several steps of their own before they average their weights (Stich 2019,
*Local SGD Converges Fast and Communicates Little*, algorithm 1).

Between two averages, and in what their optimizers remember, workers differ, so a checkpoint has each worker's
part. It is taken right after an average, when the weights are the same on all.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from linreg_dist.training.worker import Worker

_PREFIX = "worker."
_SUMS = "epoch_sums"

Tensors = dict[str, torch.Tensor]


def average_weights(
    worker: Worker, linear: nn.Linear, share: float, *, wish: bool
) -> tuple[torch.Tensor | None, bool]:
    """Average the workers' weights by their shares, in place. Every worker must call it.

    Args:
        worker: this one.
        linear: what is averaged.
        share: this worker's, such as the weight of the rows it has seen; not negative.
        wish: travels with the weights; rank 0's is returned on all workers.

    Returns:
        The mean weights, flat, None if nobody has a share; and rank 0's wish.

    """
    with torch.no_grad():
        flat = nn.utils.parameters_to_vector(linear.parameters())
        ours = torch.tensor([share, float(wish and worker.rank == 0)], dtype=flat.dtype)
        total = torch.from_numpy(worker.sum(torch.cat([flat.cpu() * share, ours]).numpy()))
        wished = total[-1].item() > 0.0
        if total[-2] <= 0.0:
            return None, wished
        mean = (total[:-2] / total[-2]).to(flat.device)
        nn.utils.vector_to_parameters(mean, linear.parameters())
        return mean, wished


def gather_parts(worker: Worker, epoch_sums: torch.Tensor, optimizer: Tensors) -> Tensors:
    """Return what the workers have of their own, as named tensors. Every worker must call it.

    Args:
        worker: this one.
        epoch_sums: this worker's, see `Progress`.
        optimizer: its optimizer's state.

    """
    ours = {_SUMS: epoch_sums, **{name: tensor.cpu() for name, tensor in optimizer.items()}}
    return {
        f"{_PREFIX}{rank}.{name}": tensor
        for rank, part in enumerate(worker.gather(ours))
        for name, tensor in part.items()
    }


def own_part(tensors: Mapping[str, torch.Tensor], worker: Worker) -> tuple[torch.Tensor, Tensors] | None:
    """Return this worker's epoch sums and optimizer state out of a checkpoint's tensors.

    On as many workers as wrote it, each gets its own and goes on with the same bits. On another number each
    gets an equal part of the sums, and the mean of what the optimizers remembered: the workers' gradients are
    estimates of the same one. None if the checkpoint is of workers that stepped together.
    """
    parts: dict[int, Tensors] = {}
    for name, tensor in tensors.items():
        if name.startswith(_PREFIX):
            _, rank, key = name.split(".", 2)
            parts.setdefault(int(rank), {})[key] = tensor
    if not parts:
        return None
    if len(parts) == worker.world_size:
        ours = parts[worker.rank]
    else:
        # A worker that has seen no row yet remembers nothing.
        names = {name for part in parts.values() for name in part}
        found = {name: [part[name] for part in parts.values() if name in part] for name in sorted(names)}
        ours = {name: torch.stack(several).mean(dim=0) for name, several in found.items()}
        ours[_SUMS] = torch.stack(found[_SUMS]).sum(dim=0) / worker.world_size
    return ours.pop(_SUMS), ours
