"""The registry: each file here holds one contender, or one family that differs in a number."""

from __future__ import annotations

from benchmarks.contender import Contender
from benchmarks.contenders import (
    duckdb_moments,
    floor,
    gemm_floor,
    ours_exact,
    ours_local,
    ours_ray,
    polars_ds_lin_reg,
    pyarrow_loop,
    ray_noop,
    sklearn_in_ram,
    sklearn_sgd,
    sklearnex,
    spark,
    tutorial,
    vowpal_wabbit,
)

CONTENDERS: dict[str, Contender] = {
    contender.name: contender
    for module in (
        floor,
        gemm_floor,
        ray_noop,
        tutorial,
        pyarrow_loop,
        ours_local,
        ours_ray,
        ours_exact,
        sklearn_sgd,
        sklearnex,
        polars_ds_lin_reg,
        duckdb_moments,
        sklearn_in_ram,
        spark,
        vowpal_wabbit,
    )
    for contender in module.CONTENDERS
}
