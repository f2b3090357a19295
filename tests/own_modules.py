"""Modules as a user would write them, for the tests of `model.module`."""

from __future__ import annotations

import torch
from torch import nn


class TwoLayers(nn.Module):
    """A hidden layer of rectified units."""

    def __init__(self, in_features: int, out_features: int, hidden: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, out_features)
        )

    def forward(self, x_ND: torch.Tensor) -> torch.Tensor:
        """Return (N, K)."""
        found: torch.Tensor = self.layers(x_ND)
        return found


class OneColumn(nn.Module):
    """A line through one feature, as (N,); its width is that of its first rows."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.LazyLinear(1)

    def forward(self, x_ND: torch.Tensor) -> torch.Tensor:
        """Return (N,)."""
        found: torch.Tensor = self.line(x_ND)[:, 0]
        return found


class TooMany(nn.Module):
    """Gives three numbers a row."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.line = nn.Linear(in_features, 3)

    def forward(self, x_ND: torch.Tensor) -> torch.Tensor:
        """Return (N, 3)."""
        found: torch.Tensor = self.line(x_ND)
        return found


class NoModule:
    """Something else."""
