"""`check_data`: whether the data fits a spec, from the footers alone."""

from __future__ import annotations

from typing import Any

from linreg_dist.run.train_job import choose_solver, read_data, refuse_unavailable
from linreg_dist.spec import JobSpec


def check_data(spec: JobSpec) -> dict[str, Any]:
    """Read the footers and match the spec's columns with them; no row is read.

    Returns:
        ``{"files", "row_groups", "rows", "features", "categorical", "skipped_columns", "solver"}``.

    Raises:
        SpecError: the spec asks for what this version cannot do.
        DataError: nothing there, not Parquet, a missing column or a wrong type.
    """
    refuse_unavailable(spec)
    manifest, columns = read_data(spec)
    return {
        "files": len(manifest.files),
        "row_groups": len(manifest.row_groups),
        "rows": manifest.num_rows,
        "features": list(columns.features),
        "categorical": list(columns.categorical),
        "skipped_columns": columns.skipped,
        "solver": choose_solver(spec),
    }
