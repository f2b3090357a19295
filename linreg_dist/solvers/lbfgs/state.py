"""The state of torch's L-BFGS as named tensors.

It holds lists and plain numbers beside tensors, which `checkpoint.optimizer_tensors` of the other optimisers
does not expect.
"""

from __future__ import annotations

from typing import Any

import torch

_PREFIX = "optimizer."
_VECTORS = ("d", "prev_flat_grad")
_LISTS = ("old_dirs", "old_stps", "ro")  # oldest first; of equal length
_NUMBERS = ("t", "H_diag", "prev_loss")
_COUNTS = ("func_evals", "n_iter")


def lbfgs_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the state as ``optimizer.<name>``; none before the first step.

    The lists become one tensor each, of M pairs: ``old_dirs`` and ``old_stps`` (M, P) and ``ro`` (M,), P the
    number of all parameters. ``al`` is scratch and is left out.
    """
    state = _state_of(optimizer)
    tensors = {}
    for name in (*_VECTORS, *_NUMBERS, *_COUNTS):
        if state.get(name) is not None:
            value = state[name]
            kind = torch.int64 if name in _COUNTS else torch.float64
            tensors[_PREFIX + name] = torch.as_tensor(value, dtype=kind).clone()
    for name in _LISTS:
        if state.get(name):
            tensors[_PREFIX + name] = torch.stack(state[name])
    return tensors


def restore_lbfgs(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put the state that `lbfgs_tensors` took into an optimiser of the same parameters."""
    found = {name.removeprefix(_PREFIX): value for name, value in tensors.items() if name.startswith(_PREFIX)}
    if not found:
        return
    state = _state_of(optimizer)
    state.clear()
    for name in _VECTORS:
        if name in found:
            state[name] = found[name].clone()
    for name in (*_NUMBERS, *_COUNTS):
        if name in found:
            state[name] = found[name].item()
    if "d" in found:  # an iteration was made, so the lists are there, empty or not
        for name in _LISTS:
            state[name] = list(found[name].clone().unbind()) if name in found else []


def _state_of(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the one state, which torch keeps under the first parameter."""
    state: dict[str, Any] = optimizer.state[optimizer.param_groups[0]["params"][0]]
    return state
