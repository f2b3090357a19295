"""Random regression problems in the form that training sees them."""

from __future__ import annotations

import numpy as np
import torch

from linreg_dist.data.block import Block
from linreg_dist.training.rows.scaling import AffineScale
from linreg_dist.training.rows.sweep import Rows


def column_major(z: np.ndarray, dtype: torch.dtype) -> torch.Tensor:
    """Return ``z`` with strides (1, N), as blocks hold it."""
    return torch.from_numpy(np.ascontiguousarray(z.T)).to(dtype).t()


def random_rows(
    n: int, d: int = 3, k: int = 1, *, weighted: bool = False, dtype=torch.float64, seed: int = 0, loc=0.0
) -> Rows:
    """Return N rows of D features and K targets with a linear signal, noise and a few outliers."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) + loc
    y = x @ rng.normal(size=(d, k)) + 0.5 + rng.standard_t(2, size=(n, k))
    w = torch.from_numpy(rng.uniform(0.0, 2.0, size=n)).to(dtype) if weighted else None
    return Rows(column_major(x, dtype), column_major(y, dtype), w)


def block_of(rows: Rows) -> Block:
    """Return rows as a block that shares their memory."""
    w_N = None if rows.w_N is None else rows.w_N.numpy()
    return Block(rows.x_ND.numpy(), rows.y_NK.numpy(), w_N, len(rows.x_ND), rows.native)


def unit_scale(d: int, k: int) -> AffineScale:
    """Return the map that changes nothing."""
    return AffineScale(np.zeros(d), np.ones(d), np.zeros(k), np.ones(k))


def random_scale(d: int, k: int, seed: int = 1) -> AffineScale:
    """Return some map."""
    rng = np.random.default_rng(seed)
    return AffineScale(
        rng.normal(size=d), rng.uniform(0.5, 2.0, d), rng.normal(size=k), rng.uniform(0.5, 2.0, k)
    )
