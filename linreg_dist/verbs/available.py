"""Features of the spec that cannot be had here: refused wherever a spec is used or checked."""

from __future__ import annotations

from linreg_dist._version import __version__
from linreg_dist.errors import SpecError
from linreg_dist.export import FORMATS
from linreg_dist.jobspec import JobSpec


def refuse_unavailable(spec: JobSpec) -> None:
    """Refuse what the spec can say and this version cannot do, rather than leave it out in silence.

    Raises:
        SpecError: names each such field, or the extra that is not installed.

    """
    for name in spec.outputs.export:
        FORMATS[name].require("outputs.export")
    asked = {
        "tracking.mlflow": spec.tracking.mlflow is not None,
        "tracking.tensorboard": spec.tracking.tensorboard,
    }
    missing = [field for field, is_asked in asked.items() if is_asked]
    if missing:
        raise SpecError(
            f"{', '.join(missing)}: not available in linreg_dist {__version__}; remove it from the spec. The "
            "model is in model/ as safetensors and JSON, the metrics in metrics.jsonl and result.json"
        )
    if spec.matrix is not None:
        raise SpecError("the spec has a matrix, which is many jobs; run it with `linreg-dist batch`")
