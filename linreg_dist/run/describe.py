"""What `show` says about a model: coefficients with their inference, the fit, where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from linreg_dist.model import LinearModel
from linreg_dist.wording.names import intercept_name

_TEST_KEYS = ("std_err", "t", "p", "ci_low", "ci_high", "vif")
_FIT_KEYS = ("r2", "adj_r2", "sigma", "f", "f_p", "aic", "bic", "n", "df_resid", "condition_number")


def describe(model: LinearModel, *, with_covariance: bool = False) -> dict[str, Any]:
    """Return the document of ``show --json``.

    Fields of inference are None where they do not exist, and ``inference_reason`` says why; ``accuracy`` says
    why digits may be missing, where statistics alone could not deliver them all. With several
    targets the document is that of the first, and ``targets`` has one for each. ``with_covariance`` adds
    ``cov_params``: ``{"names", "matrix"}``, None where there is none.
    """
    documents = [_describe_target(model, k) for k in range(len(model.targets))]
    if with_covariance:
        for document in documents:
            document["cov_params"] = _covariance(model, document)
    details = model.details
    provenance = {
        key: details.get(key)
        for key in (
            "name",
            "solver",
            "penalty",
            "tune",
            "rows",
            "missing_values",
            "metrics",
            "data",
            "versions",
        )
    }
    document = {**documents[0], **provenance}
    if len(documents) > 1:
        document["targets"] = documents
    return document


def _describe_target(model: LinearModel, k: int) -> dict[str, Any]:
    target = model.targets[k]
    inference: Mapping[str, Any] = model.details.get("inference") or {
        "reason": f"the {_solver_name(model)} solver stops near the optimum: standard errors need the "
        "exact solver",
        "covariance": None,
        "targets": {},
    }
    found = inference["targets"].get(target, {"tests": {}, "fit": {}})
    tests: Mapping[str, Mapping[str, float | None]] = found["tests"]
    coefficients = [
        {"feature": name, "coef": float(value), **_tests_of(tests, name)}
        for name, value in zip(model.encoding.names, model.coef_KD[k], strict=True)
    ]
    return {
        "target": target,
        "intercept": float(model.intercept_K[k]),
        "intercept_inference": _tests_of(tests, intercept_name(model.encoding.names)),
        "coefficients": coefficients,
        "fit": {
            **_metrics_as_fit(model, target),
            **{k: v for k, v in found["fit"].items() if k in _FIT_KEYS},
        },
        "inference_reason": inference["reason"],
        "covariance": inference.get("covariance"),
        "accuracy": (model.details.get("solver") or {}).get("accuracy"),
    }


def _covariance(model: LinearModel, document: Mapping[str, Any]) -> dict[str, Any] | None:
    if document["inference_reason"] is not None:
        return None
    matrix = model.cov_params(document["target"])
    rows = [[float(value) if np.isfinite(value) else None for value in row] for row in matrix]
    return {"names": list(model.cov_names), "matrix": rows}


def _tests_of(tests: Mapping[str, Mapping[str, float | None]], name: str) -> dict[str, float | None]:
    return {key: tests.get(name, {}).get(key) for key in _TEST_KEYS}


def _metrics_as_fit(model: LinearModel, target: str) -> dict[str, Any]:
    """Return what every solver knows about the fit; the rest is None."""
    train = (model.details.get("metrics") or {}).get("train") or {}
    train = train.get("per_target", {}).get(target, train)
    rows = model.details.get("rows") or {}
    return {**dict.fromkeys(_FIT_KEYS), "r2": train.get("r2"), "n": rows.get("train")}


def _solver_name(model: LinearModel) -> str:
    return str((model.details.get("solver") or {}).get("name", "unknown"))
