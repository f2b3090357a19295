"""The hot loop of the exact solver: float64 sums of a shifted Gram matrix, one pass over a block.

The shapes are unusual for BLAS: k (rows) is long and Z (columns) is short. So the block is taken in slices
that stay in the L2 cache: a slice is widened to float64, shifted and multiplied before it leaves the cache,
and main memory is read once, in the precision in which the data are stored. Everything is a torch
operation: it releases the GIL, runs on CPU and GPU from the same lines, and uses as many threads as torch
is given in the calling thread.

Legend: N rows, D features, K targets, Z = D + K, S rows of one slice.
"""

from __future__ import annotations

import torch

# Bytes of the float64 scratch slice. Measured on an AVX-512 core with 1 MiB of L2 (float32 columns, one
# thread), Mrow/s:
#            Z = 9    33    129    257
#   0.5 MiB     39   9.0   1.26   0.45
#     1 MiB     64   9.6   1.38   0.46
#     2 MiB     70  10.0   1.42   0.45
# 1 MiB is within a few percent of the best everywhere and leaves the last-level cache to the decoder beside
# us.
SLICE_BYTES = 1 << 20

# On a GPU a slice must be long enough to fill the device; it is a bound on scratch memory, not a cache size.
GPU_SLICE_BYTES = 256 << 20

# A Gram matrix is symmetric and torch has no `syrk`: row panels of the upper triangle save up to half of the
# multiplications (Z = 257: 0.34 -> 0.46 Mrow/s). Narrower panels lose more in GEMM efficiency than they save.
PANEL_COLUMNS = 64

_MIN_SLICE_ROWS = 256
_PILOT_ROWS = 256


def slice_rows(num_columns: int, device: torch.device) -> int:
    """Return how many rows of ``num_columns`` float64 values fill one scratch slice on ``device``."""
    budget = SLICE_BYTES if device.type == "cpu" else GPU_SLICE_BYTES
    return max(_MIN_SLICE_ROWS, budget // (8 * max(num_columns, 1)) // 64 * 64)


def pilot_shift(x_ND: torch.Tensor, y_NK: torch.Tensor) -> torch.Tensor:
    """Return a cheap float64 guess of the column means, (Z,): the mean of at most 256 evenly spaced rows.

    Any shift gives the same moments in exact arithmetic; one near the mean keeps the digits that
    ``X'X - n m m'`` would cancel. A constant column gets exactly its value, so its variance comes out
    exactly zero.
    """
    step = max(1, -(-x_ND.shape[0] // _PILOT_ROWS))
    sample_SZ = torch.cat([x_ND[::step].double(), y_NK[::step].double()], dim=1)
    first_Z = sample_SZ[0]
    return first_Z + (sample_SZ - first_Z).mean(dim=0)


def shifted_sums(
    x_ND: torch.Tensor, y_NK: torch.Tensor, shift_Z: torch.Tensor, w_N: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``Σ w (z - shift)(z - shift)'`` and ``Σ w (z - shift)`` of the rows z = [x, y], in float64.

    Args:
        x_ND: features, any real dtype; fastest when column-major (strides (1, N)).
        y_NK: targets, likewise, on the same device.
        shift_Z: the point to sum around, float64, (D + K,).
        w_N: row weights, finite and not negative; None means 1.

    Returns:
        gram_ZZ (symmetric) and sum_Z, float64, on the device of ``x_ND``.

    """
    num_rows, num_features = x_ND.shape
    num_columns = num_features + y_NK.shape[1]
    device = x_ND.device
    step = min(slice_rows(num_columns, device), max(num_rows, 1))
    scratch_ZS = torch.empty((num_columns, step), dtype=torch.float64, device=device)
    gram_ZZ = torch.zeros((num_columns, num_columns), dtype=torch.float64, device=device)
    sum_Z = torch.zeros(num_columns, dtype=torch.float64, device=device)
    shift_Z1 = shift_Z[:, None]
    root_w_N = None if w_N is None else w_N.double().sqrt()
    for start in range(0, num_rows, step):
        stop = min(start + step, num_rows)
        z_ZS = scratch_ZS[:, : stop - start]
        # copy_ then sub_ beats one mixed-dtype subtraction: the widening copy is vectorised, the rest is in
        # cache.
        z_ZS[:num_features].copy_(x_ND[start:stop].T)
        z_ZS[num_features:].copy_(y_NK[start:stop].T)
        z_ZS.sub_(shift_Z1)
        if root_w_N is None:
            sum_Z += z_ZS.sum(dim=1)
        else:
            # √w on both factors keeps the product symmetric and needs no second scratch slice.
            root_w_S = root_w_N[start:stop]
            z_ZS.mul_(root_w_S)
            sum_Z += z_ZS @ root_w_S
        _add_upper_gram(gram_ZZ, z_ZS)
    gram_ZZ.triu_()
    gram_ZZ += gram_ZZ.triu(1).T
    return gram_ZZ, sum_Z


def _add_upper_gram(gram_ZZ: torch.Tensor, z_ZS: torch.Tensor) -> None:
    """Add ``z z'`` to ``gram_ZZ`` in row panels; what lies below the diagonal panels is left as it is."""
    for start in range(0, z_ZS.shape[0], PANEL_COLUMNS):
        panel_PS = z_ZS[start : start + PANEL_COLUMNS]
        gram_ZZ[start : start + PANEL_COLUMNS, start:].addmm_(panel_PS, z_ZS[start:].T)
