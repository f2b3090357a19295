"""`model_of`: the model that a fit becomes, with everything that its config.json says."""

from __future__ import annotations

import numpy as np

from linreg_dist.data.design.encoding import Encoding
from linreg_dist.documents import DataDocument, Found, ModelDetails, PenaltyDocument
from linreg_dist.jobspec import JobSpec
from linreg_dist.model.covariance import CoefficientCovariance
from linreg_dist.model.linear_model import LinearModel


def model_of(
    spec: JobSpec,
    found: Found,
    *,
    targets: tuple[str, ...],
    data: DataDocument,
    versions: dict[str, str],
    covariance: CoefficientCovariance | None = None,
) -> LinearModel:
    """Return the model of a fit.

    Args:
        spec: what was fitted.
        found: the fit.
        targets: names of the targets.
        data: where the rows came from.
        versions: of the packages that took part.
        covariance: of the coefficients, where it is in memory.

    """
    told = {"inference": found.inference, "tune": found.tune}
    details = ModelDetails(
        name=spec.name,
        solver=found.solver,
        penalty=found.penalty or PenaltyDocument(l1=spec.model.l1, l2=spec.model.l2),
        loss=spec.model.loss,
        fit_intercept=spec.model.fit_intercept,
        rows=found.rows,
        missing_values=dict(found.missing_values),
        metrics=found.metrics,
        scaling=found.scaling,
        data=data,
        versions=versions,
    ).model_copy(update={key: value for key, value in told.items() if value is not None})
    return LinearModel(
        np.asarray(found.coef_KD),
        np.asarray(found.intercept_K),
        Encoding.from_json(found.encoding),
        targets,
        spec.data.missing,
        details,
        covariance,
    )
