"""`check_data`: whether the data fits a spec, from the footers alone."""

from __future__ import annotations

from linreg_dist.documents import DataCheck
from linreg_dist.jobspec import JobSpec
from linreg_dist.solvers import SOLVERS
from linreg_dist.verbs.train import read_data, refuse_unavailable


def check_data(spec: JobSpec) -> DataCheck:
    """Read the footers and match the spec's columns with them; no row is read.

    Raises:
        SpecError: the spec asks for what this version cannot do.
        DataError: nothing there, not Parquet, a missing column or a wrong type.
    """
    refuse_unavailable(spec)
    manifest, columns = read_data(spec)
    return DataCheck(
        files=len(manifest.files),
        row_groups=len(manifest.row_groups),
        rows=manifest.num_rows,
        features=list(columns.features),
        categorical=list(columns.by_kind().get("categorical", ())),
        skipped_columns=columns.skipped,
        solver=SOLVERS[spec.solver.name].choose(spec).solver.name,
    )
