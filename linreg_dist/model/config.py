"""A model's ``config.json``, checked before its numbers are believed.

Whatever changes a prediction without a word must be found here: columns in another order, weights of another
model, a target too many. Files of earlier versions have no checksum; their form is checked all the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from linreg_dist.data.design.documents import check_numbers, check_texts
from linreg_dist.data.design.kinds import check_columns
from linreg_dist.storage.tensors import CHANGED, Array, digest_of

_CHECKSUM = "checksum"
_MISSING = ("error", "drop", "mean")

OWN_KEYS = ("format_version", "model_type", "targets", "missing", "columns", "feature_names", _CHECKSUM)
"""The keys that `LinearModel` has fields for; all others are details."""


def with_checksum(config: Mapping[str, Any], tensors: Mapping[str, Array]) -> dict[str, Any]:
    """Return a config in JSON types, with the checksum of itself and the tensors that belong to it."""
    plain = json.loads(json.dumps(config))
    return {**plain, _CHECKSUM: digest_of(plain, tensors)}


def check_config(
    config: Mapping[str, Any], tensors: Mapping[str, Array], model_type: str = "linear_regression"
) -> None:
    """Check all of a config but what its columns make.

    Raises:
        ValueError: says what is wrong.

    """
    rest = {key: value for key, value in config.items() if key != _CHECKSUM}
    if config.get(_CHECKSUM) is not None and config[_CHECKSUM] != digest_of(rest, tensors):
        raise ValueError(CHANGED)
    if config.get("model_type") != model_type:
        raise ValueError(f"its model_type is {config.get('model_type')!r}, expected {model_type}")
    check_texts(config.get("targets"), "targets")
    if not config["targets"]:
        raise ValueError("it has no targets")
    if config.get("missing") not in _MISSING:
        raise ValueError(f"its missing is {config.get('missing')!r}, expected one of {', '.join(_MISSING)}")
    check_columns(config.get("columns"))
    if not isinstance(config.get("feature_names"), list):
        raise ValueError("it has no list of feature_names")
    if not isinstance(config.get("fit_intercept", True), bool):
        raise ValueError("its fit_intercept is neither true nor false")


def check_scaling(config: Mapping[str, Any], num_encoded: int) -> None:
    """Check the means and spreads of the encoded columns, where a config has them.

    Raises:
        ValueError: says what is wrong.

    """
    scaling = config.get("scaling")
    if scaling is None:
        return
    if not isinstance(scaling, dict):
        raise ValueError("its scaling is no object")
    for key in ("x_mean", "x_std"):
        if key in scaling:
            check_numbers(scaling[key], num_encoded, f"scaling.{key}")
