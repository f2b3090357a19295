"""The scikit-learn estimator: ``from linreg_dist.sklearn import DistributedLinearRegression``.

It needs scikit-learn, which linreg_dist itself does not: ``pip install 'linreg-dist[sklearn]'``.
"""

from __future__ import annotations

try:
    from sklearn.utils.validation import validate_data as _newest_name_in_use  # noqa: F401  # since 1.6
except ImportError as error:
    raise ImportError(
        "linreg_dist.sklearn needs scikit-learn 1.6 or newer: pip install 'linreg-dist[sklearn]'"
    ) from error

from linreg_dist.sklearn.estimator import DistributedLinearRegression

__all__ = ["DistributedLinearRegression"]
