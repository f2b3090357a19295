"""A `torch.nn.Module` of the user's own: found by name, built, and set between the scales of the data.

To import it runs its code. It happens where a job is trained that names it, and where somebody who loads a
model has said that it may.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from linreg_dist.errors import SpecError

Vector = npt.NDArray[np.float64]


def build_module(name: str, args: Mapping[str, Any], num_features: int, num_targets: int) -> nn.Module:
    """Import a class by its dotted name and make an object of it.

    Args:
        name: ``package.Class``.
        args: keyword arguments of the class; ``in_features`` and ``out_features`` are added where it has
            parameters of these names.
        num_features, num_targets: D and K.

    Raises:
        SpecError: there is no such class, it is no `torch.nn.Module`, or it refuses the arguments.

    """
    package, _, cls_name = name.rpartition(".")
    try:
        cls = getattr(importlib.import_module(package), cls_name)
    except ModuleNotFoundError as error:
        raise SpecError(
            f"model.module {name} cannot be imported: {error}. Install its package where the job runs, on "
            "every worker, or put its folder on PYTHONPATH"
        ) from error
    except AttributeError as error:
        raise SpecError(f"model.module {name}: {package} has no class {cls_name}") from error
    except Exception as error:  # its own code
        raise SpecError(f"model.module {name} fails when it is imported: {_told(error)}") from error
    if not (inspect.isclass(cls) and issubclass(cls, nn.Module)):
        raise SpecError(f"model.module {name} is no subclass of torch.nn.Module")
    given = {"in_features": num_features, "out_features": num_targets}
    takes = inspect.signature(cls).parameters
    added = {key: value for key, value in given.items() if key in takes and key not in args}
    try:
        module = cls(**{**added, **args})
    except Exception as error:
        raise SpecError(f"model.module {name} cannot be made with {dict(args)}: {_told(error)}") from error
    return module


class ScaledNetwork(nn.Module):
    """A module between the scales: it sees features of mean 0 and variance 1, and its output is scaled back.

    Args:
        inner: maps (N, D) to (N, K), or to (N,) for one target.
        x_mean_D, x_scale_D, y_mean_K, y_scale_K: of the rows as they are given to it.

    """

    x_mean: torch.Tensor
    x_scale: torch.Tensor
    y_mean: torch.Tensor
    y_scale: torch.Tensor

    def __init__(
        self, inner: nn.Module, x_mean_D: Vector, x_scale_D: Vector, y_mean_K: Vector, y_scale_K: Vector
    ) -> None:
        super().__init__()
        self.inner = inner
        scales = {"x_mean": x_mean_D, "x_scale": x_scale_D, "y_mean": y_mean_K, "y_scale": y_scale_K}
        for name, values in scales.items():
            self.register_buffer(name, torch.from_numpy(np.array(values, dtype=np.float64)), persistent=False)

    def unit(self, x_ND: torch.Tensor) -> torch.Tensor:
        """Return predictions on the scale on which targets have mean 0 and variance 1.

        Raises:
            SpecError: the module does not give one number per row and target.

        """
        parameter = next(self.inner.parameters(), None)
        dtype = torch.float32 if parameter is None else parameter.dtype
        scaled_ND = ((x_ND.double() - self.x_mean) / self.x_scale).to(dtype)
        out = self.inner(scaled_ND)
        targets = len(self.y_mean)
        if not isinstance(out, torch.Tensor) or out.numel() != len(x_ND) * targets:
            shape = tuple(out.shape) if isinstance(out, torch.Tensor) else type(out).__name__
            raise SpecError(
                f"the module's output for {len(x_ND)} rows is {shape}; expected ({len(x_ND)}, {targets}), "
                "one number for each row and target"
            )
        unit_NK: torch.Tensor = out.reshape(len(x_ND), targets)
        return unit_NK

    def forward(self, x_ND: torch.Tensor) -> torch.Tensor:
        """Return unit predictions; DistributedDataParallel wraps it."""
        return self.unit(x_ND)

    def predict(self, x_ND: npt.NDArray[Any]) -> Vector:
        """Return predictions in the units of the targets, (N, K) float64, without gradients.

        Call `eval` before; several threads may predict.
        """
        with torch.no_grad():
            x = torch.from_numpy(np.ascontiguousarray(x_ND)).to(self.x_mean.device)
            found = self.unit(x).double() * self.y_scale + self.y_mean
            predicted: Vector = found.cpu().numpy()
        return predicted


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
