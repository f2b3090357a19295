"""Features of the spec that cannot be had here: refused wherever a spec is used or checked."""

from __future__ import annotations

from linreg_dist.errors import SpecError
from linreg_dist.jobspec import JobSpec
from linreg_dist.tracking.session import require_installed


def refuse_unavailable(spec: JobSpec) -> None:
    """Refuse what the spec can say and this version cannot do, rather than leave it out in silence.

    Raises:
        SpecError: names the field, and the extra that is not installed.

    """
    for name in spec.outputs.export:
        from linreg_dist.export import FORMATS  # loads numpy and pyarrow

        FORMATS[name].require("outputs.export")
    require_installed(spec)
    if spec.matrix is not None:
        raise SpecError("the spec has a matrix, which is many jobs; run it with `linreg-dist batch`")
