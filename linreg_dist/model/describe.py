"""The description of a model that `show` prints: coefficients with their inference, the fit, provenance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from linreg_dist.documents import (
    Coefficient,
    CoefficientInference,
    CovarianceMatrix,
    Fit,
    Inference,
    ModelDescription,
    TargetDescription,
    TargetInference,
)
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.wording.names import intercept_name


def describe(model: LinearModel, *, with_covariance: bool = False) -> ModelDescription:
    """Return what ``show --json`` prints.

    Fields of inference are None where they do not exist, and ``inference_reason`` says why; ``accuracy`` says
    why digits may be missing, where statistics alone could not deliver them all. With several targets the
    description is that of the first, and ``targets`` has one for each. ``with_covariance`` adds
    ``cov_params``, None where there is none.
    """
    described = [_describe_target(model, k) for k in range(len(model.targets))]
    if with_covariance:
        described = [each.model_copy(update={"cov_params": _covariance(model, each)}) for each in described]
    details = model.details
    description = ModelDescription(
        **{key: getattr(described[0], key) for key in described[0].model_fields_set},
        name=details.name,
        solver=details.solver,
        loss=details.loss,
        penalty=details.penalty,
        tune=details.tune,
        rows=details.rows,
        missing_values=details.missing_values,
        metrics=details.metrics,
        data=details.data,
        versions=details.versions,
    )
    if len(described) > 1:
        return description.model_copy(update={"targets": described})
    return description


def _describe_target(model: LinearModel, k: int) -> TargetDescription:
    target, solver = model.targets[k], model.details.solver
    inference = model.details.inference or Inference(
        reason=f"the {solver.name if solver else 'unknown'} solver stops near the optimum: standard errors "
        "need the exact solver"
    )
    found = inference.targets.get(target, TargetInference())
    return TargetDescription(
        target=target,
        intercept=float(model.intercept_K[k]),
        intercept_inference=_tests_of(found.tests, intercept_name(model.encoding.names)),
        coefficients=[
            Coefficient(feature=name, coef=float(value), **_tests_of(found.tests, name).model_dump())
            for name, value in zip(model.encoding.names, model.coef_KD[k], strict=True)
            if model.is_linear
        ],
        fit=_fit_of(model, target, found.fit),
        inference_reason=inference.reason,
        covariance=inference.covariance,
        accuracy=solver.accuracy if solver else None,
    )


def _covariance(model: LinearModel, description: TargetDescription) -> CovarianceMatrix | None:
    if description.inference_reason is not None:
        return None
    matrix = model.cov_params(description.target)
    rows = [[float(value) if np.isfinite(value) else None for value in row] for row in matrix]
    return CovarianceMatrix(names=list(model.cov_names), matrix=rows)


def _tests_of(tests: Mapping[str, CoefficientInference], name: str) -> CoefficientInference:
    """Return a coefficient's inference with every field, None where it does not exist."""
    found = tests.get(name, CoefficientInference())
    return CoefficientInference(**{key: getattr(found, key) for key in CoefficientInference.model_fields})


def _fit_of(model: LinearModel, target: str, found: Mapping[str, float | None]) -> Fit:
    """Return the statistics of the fit: the exact solver's, else what every solver knows."""
    metrics, rows = model.details.metrics, model.details.rows
    train = metrics.train if metrics else None
    if train is not None and train.per_target:
        train = train.per_target.get(target, train)
    known = {"r2": train.r2 if train else None, "n": rows.train if rows else None, **found}
    return Fit(**{key: known.get(key) for key in Fit.model_fields})
