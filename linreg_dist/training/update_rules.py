"""The update rules of SGD, Adam, AdamW and RMSprop: torch's own functions, with their state in our hands.

The classes of `torch.optim` call these functions. Making the first of them in a process imports torch's
compiler, more than a second of processor time, which is as long as many a fit takes; the functions do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

_PREFIX = "optimizer."

State = dict[str, torch.Tensor]

UpdateRule = Callable[[torch.Tensor, torch.Tensor, State, float, float], None]
"""``rule(parameter, gradient, state, learning_rate, weight_decay)`` changes the parameter and the state in
place; an empty state is filled."""


def rule_named(name: str, momentum: float) -> UpdateRule:
    """Return the rule of ``solver.name``: what torch's class of that name does with its other defaults."""
    if name == "sgd":
        return partial(_sgd, momentum)
    if name == "rmsprop":
        return partial(_rmsprop, momentum)
    return partial(_adam, name == "adamw")


def _sgd(
    momentum: float,
    parameter: torch.Tensor,
    gradient: torch.Tensor,
    state: State,
    learning_rate: float,
    weight_decay: float,
) -> None:
    buffers = [state.get("momentum_buffer")]
    sgd(
        [parameter],
        [gradient],
        buffers,
        foreach=False,
        lr=learning_rate,
        weight_decay=weight_decay,
        momentum=momentum,
        dampening=0.0,
        nesterov=False,
        maximize=False,
    )
    if buffers[0] is not None:
        state["momentum_buffer"] = buffers[0]


def _adam(
    decoupled: bool,
    parameter: torch.Tensor,
    gradient: torch.Tensor,
    state: State,
    learning_rate: float,
    weight_decay: float,
) -> None:
    if not state:
        state["step"] = torch.tensor(0.0)
        state["exp_avg"] = torch.zeros_like(parameter)
        state["exp_avg_sq"] = torch.zeros_like(parameter)
    adam(
        [parameter],
        [gradient],
        [state["exp_avg"]],
        [state["exp_avg_sq"]],
        [],
        [state["step"]],
        foreach=False,
        decoupled_weight_decay=decoupled,
        amsgrad=False,
        beta1=0.9,
        beta2=0.999,
        lr=learning_rate,
        weight_decay=weight_decay,
        eps=1e-8,
        maximize=False,
    )


def _rmsprop(
    momentum: float,
    parameter: torch.Tensor,
    gradient: torch.Tensor,
    state: State,
    learning_rate: float,
    weight_decay: float,
) -> None:
    if not state:
        state["step"] = torch.tensor(0.0)
        state["square_avg"] = torch.zeros_like(parameter)
        if momentum > 0.0:
            state["momentum_buffer"] = torch.zeros_like(parameter)
    rmsprop(
        [parameter],
        [gradient],
        [state["square_avg"]],
        [],
        [state["momentum_buffer"]] if momentum > 0.0 else [],
        [state["step"]],
        foreach=False,
        lr=learning_rate,
        alpha=0.99,
        eps=1e-8,
        weight_decay=weight_decay,
        momentum=momentum,
        centered=False,
    )


def state_tensors(states: Sequence[State]) -> dict[str, torch.Tensor]:
    """Return the parameters' states as named tensors: ``optimizer.<parameter number>.<name>``."""
    return {
        f"{_PREFIX}{number}.{key}": value
        for number, state in enumerate(states)
        for key, value in state.items()
    }


def restore_states(
    states: Sequence[State], parameters: Sequence[torch.Tensor], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Put what `state_tensors` took into the states of the same ``parameters``, on their devices.

    The count of steps stays on the CPU, where the rules read it.
    """
    for state in states:
        state.clear()
    for name, value in tensors.items():
        if name.startswith(_PREFIX):
            _, number, key = name.split(".", 2)
            device = "cpu" if key == "step" else parameters[int(number)].device
            states[int(number)][key] = value.to(device, copy=True)
