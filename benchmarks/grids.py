"""How much to run: smoke ends within a minute, small gives a first impression, full is for publication; exact
compares what solves least squares in one pass.
"""

from __future__ import annotations

from benchmarks.contender import Grid

FLOORS = ("floor_processes", "floor_threads", "floor_keeping", "floor_1_core")
LOOPS = ("tutorial", "pyarrow_loop", "sklearn_partial_fit")
OURS_LOCAL = (
    "ours_1_thread",
    "ours_all_threads",
    "ours_backed_memory",
    "ours_defaults",
    "ours_exact",
)
OURS_RAY = ("ray_noop_1", "ray_noop_2", "ours_ray_1", "ours_ray_2")
EXACT = (
    "floor_processes",
    "floor_dgemm",
    "floor_sgemm",
    "ours_exact",
    "ours_exact_ridge",
    "ours_tune",
    "sklearnex_incremental",
    "polars_ds_lin_reg",
    "duckdb_moments",
    "sklearn_in_ram",
    "spark_normal",
)
PEERS = ("spark_lbfgs", "vowpal_wabbit")

GRIDS: dict[str, Grid] = {
    grid.name: grid
    for grid in (
        # No Ray and no JVM: starting them takes longer than all of this.
        Grid(
            "smoke",
            problems=("W32",),
            contenders=(
                "floor_processes",
                "floor_threads",
                *LOOPS,
                "ours_1_thread",
                "ours_all_threads",
                "ours_exact",
            ),
            scale=0.0025,
            epochs=2,
            rounds=1,
            capped_rows=2_000,
            timeout_s=60.0,
        ),
        Grid(
            "small",
            problems=("W32", "W8", "W256"),
            contenders=(*FLOORS, *LOOPS, *OURS_LOCAL, *OURS_RAY),
            scale=0.1,
            rounds=3,
            capped_rows=20_000,
            timeout_s=300.0,
        ),
        Grid(
            "full",
            problems=("W32", "W8", "W256"),
            contenders=(*FLOORS, *LOOPS, *OURS_LOCAL, *OURS_RAY, *PEERS),
        ),
        # One pass each, for the optimum itself.
        Grid(
            "exact",
            problems=("W32", "W8", "W256"),
            contenders=EXACT,
            epochs=1,
            timeout_s=1_800.0,
            digits=True,
        ),
    )
}
