"""The registry: each file here holds one contender, or one family that differs in a number."""

from __future__ import annotations

from benchmarks.contender import Contender
from benchmarks.contenders import (
    floor,
    ours_exact,
    ours_local,
    ours_ray,
    pyarrow_loop,
    ray_noop,
    sklearn_sgd,
    spark,
    tutorial,
    vowpal_wabbit,
)

CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for module in (
        floor,
        ray_noop,
        tutorial,
        pyarrow_loop,
        ours_local,
        ours_ray,
        ours_exact,
        sklearn_sgd,
        spark,
        vowpal_wabbit,
    )
    for contender in module.CONTENDERS
}
