"""The sums of the exact pass on a GPU: the columns go there a slice at a time, and small sums come back."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from linreg_dist.stats.kernel import Array, Floats, Spans, Sums, slice_rows, slices_of

# A slice must be long enough to fill the device; it is a bound on scratch memory, not a cache size.
_SLICE_BYTES = 256 << 20


def products_per_second(device: str) -> float:
    """Return how many products in float64 a device makes in a second; measuring takes milliseconds."""
    size, length = 256, 4096
    ones = torch.ones((size, length), dtype=torch.float64, device=device)
    (ones @ ones.t()).sum().item()  # loads the library
    started = time.perf_counter()
    (ones @ ones.t()).sum().item()
    return size * size * length / (time.perf_counter() - started)


def sums_on(device: str) -> Sums:
    """Return what does on ``device``, as torch names it, what `linreg_dist.stats.kernel.shifted_sums` does
    on the CPU.
    """

    def sums(
        x_ND: Array, y_NK: Array, shift_Z: Floats, w_N: Array | None = None, spans: Spans | None = None
    ) -> tuple[Floats, Floats]:
        def there(parts: list[Array], **how: Any) -> torch.Tensor:
            # Columns stay contiguous, and travel in their own type and from pinned memory.
            columns = torch.from_numpy(np.concatenate(parts, **how))
            if torch.device(device).type == "cuda":
                columns = columns.pin_memory().to(device, non_blocking=True)
            return columns.double()

        size = len(shift_Z)
        gram_ZZ = torch.zeros((size, size), dtype=torch.float64, device=device)
        sum_Z = torch.zeros(size, dtype=torch.float64, device=device)
        shift_Z1 = torch.from_numpy(shift_Z).to(device)[:, None]
        whole = [(0, x_ND.shape[0])] if spans is None else spans
        for pieces in slices_of(whole, slice_rows(size, _SLICE_BYTES)):
            columns = [np.concatenate([z.T[:, a:b] for a, b in pieces], axis=1) for z in (x_ND, y_NK)]
            z_ZS = there(columns, axis=0) - shift_Z1
            if w_N is None:
                sum_Z += z_ZS.sum(dim=1)
            else:
                root_w_S = there([w_N[a:b] for a, b in pieces]).sqrt()
                z_ZS.mul_(root_w_S)
                sum_Z += z_ZS @ root_w_S
            gram_ZZ.addmm_(z_ZS, z_ZS.t())
        gram_ZZ = gram_ZZ.triu() + gram_ZZ.triu(1).t()
        return gram_ZZ.cpu().numpy(), sum_Z.cpu().numpy()

    return sums
