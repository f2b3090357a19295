"""The update rules of SGD, Adam, AdamW and RMSprop: torch's own functions, with their state in our hands.

The classes of `torch.optim` call these functions. Making the first of them in a process imports torch's
compiler, more than a second of processor time, which is as long as many a fit takes; the functions do not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

BETA1, BETA2, EPSILON, ALPHA = 0.9, 0.999, 1e-8, 0.99
"""torch's defaults: how Adam's first and second moments decay, what is added to a root, and how RMSprop's
second moment decays."""

REMEMBERED: dict[str, tuple[str | None, str | None]] = {
    "sgd": ("momentum_buffer", None),
    "adam": ("exp_avg", "exp_avg_sq"),
    "adamw": ("exp_avg", "exp_avg_sq"),
    "rmsprop": ("momentum_buffer", "square_avg"),
}
"""The first and second moment of a parameter, as each rule's state calls them; a rule with a second one
counts its steps too."""

_PREFIX = "optimizer."


@dataclass
class Stepped:
    """A parameter, its l2 penalty, and what its update rule remembers; an empty ``state`` is filled."""

    parameter: torch.Tensor
    weight_decay: float
    state: dict[str, torch.Tensor] = field(default_factory=dict)


UpdateRule = Callable[[Stepped, torch.Tensor, float], None]
"""``rule(stepped, gradient, learning_rate)`` changes the parameter and its state in place."""


def sgd_rule(momentum: float) -> UpdateRule:
    """Return what `torch.optim.SGD` does with its other defaults."""
    return partial(_sgd, momentum)


def adam_rule(*, decoupled: bool) -> UpdateRule:
    """Return what `torch.optim.Adam` does with its defaults, or with decoupled weight decay `AdamW`."""
    return partial(_adam, decoupled)


def rmsprop_rule(momentum: float) -> UpdateRule:
    """Return what `torch.optim.RMSprop` does with its other defaults."""
    return partial(_rmsprop, momentum)


def _sgd(momentum: float, stepped: Stepped, gradient: torch.Tensor, learning_rate: float) -> None:
    buffers = [stepped.state.get("momentum_buffer")]
    sgd(
        [stepped.parameter],
        [gradient],
        buffers,
        foreach=False,
        lr=learning_rate,
        weight_decay=stepped.weight_decay,
        momentum=momentum,
        dampening=0.0,
        nesterov=False,
        maximize=False,
    )
    if buffers[0] is not None:
        stepped.state["momentum_buffer"] = buffers[0]


def _adam(decoupled: bool, stepped: Stepped, gradient: torch.Tensor, learning_rate: float) -> None:
    state = stepped.state
    if not state:
        state["step"] = torch.tensor(0.0)
        state["exp_avg"] = torch.zeros_like(stepped.parameter)
        state["exp_avg_sq"] = torch.zeros_like(stepped.parameter)
    (adamw if decoupled else adam)(
        [stepped.parameter],
        [gradient],
        [state["exp_avg"]],
        [state["exp_avg_sq"]],
        [],
        [state["step"]],
        foreach=False,
        amsgrad=False,
        beta1=BETA1,
        beta2=BETA2,
        lr=learning_rate,
        weight_decay=stepped.weight_decay,
        eps=EPSILON,
        maximize=False,
    )


def _rmsprop(momentum: float, stepped: Stepped, gradient: torch.Tensor, learning_rate: float) -> None:
    state = stepped.state
    if not state:
        state["step"] = torch.tensor(0.0)
        state["square_avg"] = torch.zeros_like(stepped.parameter)
        if momentum > 0.0:
            state["momentum_buffer"] = torch.zeros_like(stepped.parameter)
    rmsprop(
        [stepped.parameter],
        [gradient],
        [state["square_avg"]],
        [],
        [state["momentum_buffer"]] if momentum > 0.0 else [],
        [state["step"]],
        foreach=False,
        lr=learning_rate,
        alpha=ALPHA,
        eps=EPSILON,
        weight_decay=stepped.weight_decay,
        momentum=momentum,
        centered=False,
    )


def state_tensors(parameters: Sequence[Stepped]) -> dict[str, torch.Tensor]:
    """Return the states as named tensors: ``optimizer.<parameter number>.<name>``."""
    numbered = enumerate(parameters)
    return {f"{_PREFIX}{number}.{key}": value for number, one in numbered for key, value in one.state.items()}


def restore_states(parameters: Sequence[Stepped], tensors: Mapping[str, torch.Tensor]) -> None:
    """Put what `state_tensors` took into the states of the same ``parameters``, on their devices.

    The count of steps stays on the CPU, where the rules read it. Tensors of other names are left out.
    """
    for one in parameters:
        one.state.clear()
    for name, value in tensors.items():
        if name.startswith(_PREFIX):
            _, number, key = name.split(".", 2)
            one = parameters[int(number)]
            one.state[key] = value.to("cpu" if key == "step" else one.parameter.device, copy=True)
