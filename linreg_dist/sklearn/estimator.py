"""`DistributedLinearRegression`: the job spec's words as parameters of a scikit-learn estimator.

Shape suffixes: N rows, D columns, K targets.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_consistent_length,
    check_is_fitted,
    check_random_state,
    validate_data,
)

from linreg_dist.api.rows import (
    Array,
    as_arrow,
    feature_columns,
    has_levels,
    names_parquet,
    refuse_types,
    unique_name,
    write_rows,
)
from linreg_dist.jobspec import RunSpec
from linreg_dist.jobspec.reading.interpolation import escape
from linreg_dist.run.finished_run import Run
from linreg_dist.sklearn.job import FIELDS, check_overrides, levels_named_in, make_spec
from linreg_dist.solvers import SOLVERS
from linreg_dist.verbs.train import train
from linreg_dist.wording.names import free_name

if TYPE_CHECKING:
    from sklearn.utils import Tags

_FLOATS = (np.float64, np.float32)

Matrix = npt.NDArray[np.float64]


class DistributedLinearRegression(RegressorMixin, MultiOutputMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """Linear regression on rows in memory or on Parquet: `linreg_dist.train` as a scikit-learn estimator.

    It minimises ``1/(2·Σw) · Σ w·(y − xᵀβ − b)² + l1·‖β‖₁ + (l2/2)·‖β‖₂²``, or the Huber loss in place of the
    square. Without penalties that is scikit-learn's `LinearRegression`; with ``standardize=False`` and
    n = Σw, `Ridge` with ``alpha = n·l2``, and `ElasticNet` with ``alpha = l1 + l2`` and
    ``l1_ratio = l1 / (l1 + l2)``.

    The parameters are fields of the job spec (``linreg-dist schema`` describes them), and ``overrides`` sets
    any other. Every row trains, unless ``overrides`` holds some out. `fit` always fits: where
    `linreg_dist.train` continues an unfinished run or reports a finished one, it starts over.

    Args:
        loss: "squared" or "huber".
        huber_epsilon: where huber turns linear, in units of the residuals' robust scale, at least 1.
        fit_intercept: whether there is an intercept, which is never penalised.
        standardize: whether the penalty acts on features divided by their standard deviation: True, False,
            or "auto": where there is a penalty, or the solver is iterative.
        l1: weight of the sum of absolute coefficients, at least 0.
        l2: weight of half the sum of squared coefficients, at least 0.
        solver: "auto", "exact", "sgd", "adam", "adamw", "rmsprop" or "lbfgs".
        epochs: passes over the rows, at most; unused by the exact solver.
        learning_rate: of the first step, above 0, or "auto"; for sgd, adam, adamw and rmsprop.
        global_batch_size: rows per step over all workers, or "auto"; for the same.
        missing: what to do with NaN in a feature: "error"; "drop" its row, and predict NaN for such a row; or
            "mean", which puts the mean of the training rows in its place.
        random_state: seed of shuffling and of the first weights: a whole number of at least 0, or a
            `RandomState` or None as everywhere in scikit-learn.
        num_workers: 0 trains in this process with all its cores, n on n Ray workers, (min, max) elastically.
            Rows in memory are written to a temporary folder of this machine; for a cluster of several, write
            them where every node sees them and fit from there.
        use_gpu: whether each worker trains on a GPU; "auto" with ``num_workers=0``: where it is measured
            to be faster.
        storage_path: folder or URI for the run. None removes the run of rows in memory as soon as it is
            loaded, and keeps one on Parquet in "runs".
        name: of the run's folder there. None gives every fit a name of its own; with a name, an earlier run
            of that name is replaced.
        overrides: further fields of the spec by their path, such as ``{"solver.momentum": 0.9}``.

    Attributes:
        coef_: (D,) float64, in the units of the data; (K, D) if y had two dimensions. D counts encoded
            columns, which are named by ``model_.feature_names_in_``: a column of text is one per level but
            the base.
        intercept_: a number; (K,) if y had two dimensions and an intercept was fitted.
        n_features_in_: number of columns before they were encoded.
        feature_names_in_: their names, where all are strings.
        n_iter_: passes over the rows (lbfgs: steps of up to 20 iterations); of iterative solvers only.
        run_: the `linreg_dist.Run`, with metrics and timing; ``run_.path`` is there if the run was kept.
        model_: the `linreg_dist.LinearModel`, with standard errors by `cov_params`; it matches columns by
            name, ignores others, and can be saved without pickle.

    """

    def __init__(
        self,
        *,
        loss: str = "squared",
        huber_epsilon: float = 1.35,
        fit_intercept: bool = True,
        standardize: bool | str = "auto",
        l1: float = 0.0,
        l2: float = 0.0,
        solver: str = "auto",
        epochs: int = 10,
        learning_rate: float | str = "auto",
        global_batch_size: int | str = "auto",
        missing: str = "error",
        random_state: int | np.random.RandomState | None = 0,
        num_workers: int | tuple[int, int] = 0,
        use_gpu: bool | Literal["auto"] = False,
        storage_path: str | os.PathLike[str] | None = None,
        name: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self.loss = loss
        self.huber_epsilon = huber_epsilon
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.l1 = l1
        self.l2 = l2
        self.solver = solver
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.global_batch_size = global_batch_size
        self.missing = missing
        self.random_state = random_state
        self.num_workers = num_workers
        self.use_gpu = use_gpu
        self.storage_path = storage_path
        self.name = name
        self.overrides = overrides

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> DistributedLinearRegression:
        """Fit, on rows in memory or on Parquet.

        Args:
            X: (N, D) numbers in an array, a DataFrame (pandas, polars) or a pyarrow Table; named columns may
                also be text, which is encoded as ``data.categorical`` of the spec says. Or Parquet: a file,
                folder, glob or URI, or a list of those.
            y: (N,) or (N, K) numbers; of Parquet the target column, or a list of such. All columns but
                target and weight are features there, unless ``overrides`` has ``data.features``.
            sample_weight: (N,), none negative; of Parquet the column of weights.

        Returns:
            The estimator itself.

        Raises:
            ValueError: rows in memory that scikit-learn refuses.
            TypeError: a path with a target or weight that is no name of a column.
            LinregDistError: whatever `linreg_dist.train` raises: `SpecError` for a parameter or an override,
                `DataError` for data that does not fit them, and so on.

        """
        self.__dict__.pop("n_iter_", None)  # of an earlier fit by an iterative solver
        if names_parquet(X):
            return self._fit_parquet(X, y, sample_weight)
        return self._fit_rows(X, y, sample_weight)

    def predict(self, X: Any) -> Matrix:
        """Predict the target(s).

        Args:
            X: (N, n_features_in_), in any of the forms that `fit` takes rows in, with the columns of `fit` in
                their order.

        Returns:
            (N,) float64, or (N, K) if y had two dimensions.

        Raises:
            ValueError: scikit-learn refuses the rows, or columns of text have no names.
            DataError: a level that training did not see, or a column of another type.

        """
        check_is_fitted(self)
        predicted: Matrix = self._design(X) @ self.coef_.T + self.intercept_
        return predicted

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing != "error"
        return tags

    def _fit_rows(self, X: Any, y: Any, sample_weight: Any) -> DistributedLinearRegression:
        overrides = check_overrides(self.overrides, ("path", "target", "weight", "features", "exclude"))
        features, y = self._checked_rows(X, y, overrides)
        columns = feature_columns(getattr(self, "feature_names_in_", None), self.n_features_in_)
        y_NK = y.reshape(len(y), -1)
        targets = [free_name(f"y{k}" if y.ndim == 2 else "y", columns) for k in range(y_NK.shape[1])]
        others = dict(zip(targets, y_NK.T, strict=True))
        data: dict[str, Any] = {"features": [escape(name) for name in columns], "target": targets}
        if sample_weight is not None:
            data["weight"] = free_name("sample_weight", columns)
            others[data["weight"]] = _check_sample_weight(sample_weight, y, ensure_non_negative=True)
        with tempfile.TemporaryDirectory(prefix="linreg_dist-") as scratch:
            file = Path(scratch) / "rows.parquet"
            write_rows(file, columns, features, others)
            data["path"] = escape(str(file))
            run = self._train(data, overrides, default_storage=escape(scratch))
            if self.storage_path is None:
                run = run.detached()  # what it would read is about to go
        return self._take(run, one_target=y.ndim == 1)

    def _checked_rows(self, X: Any, y: Any, overrides: Mapping[str, Any]) -> tuple[pa.Table | Array, Array]:
        """Return features and target(s) as they will be written; learn the features' number and names."""
        refuse_types(X, text=False)
        if has_levels(X, levels_named_in(overrides)):
            validate_data(self, X, y, skip_check_array=True)
            features = as_arrow(X)
            y = check_array(y, dtype="numeric", ensure_2d=False, input_name="y", estimator=self)
            check_consistent_length(features, y)
        else:
            features, y = validate_data(
                self,
                X,
                y,
                dtype=_FLOATS,
                ensure_all_finite=_finite_if(self.missing),
                y_numeric=True,
                multi_output=True,
            )
        return features, y.astype(y.dtype if y.dtype in _FLOATS else np.float64, copy=False)

    def _fit_parquet(self, path: Any, target: Any, weight: Any) -> DistributedLinearRegression:
        names = [target] if isinstance(target, str) else target
        if not (isinstance(names, Sequence) and names and all(isinstance(name, str) for name in names)):
            raise TypeError(
                f"y is {target!r:.200}; expected the name of the target column in {path!r:.200}, or a list "
                "of such names. Rows in memory go with an X in memory"
            )
        if not (weight is None or isinstance(weight, str)):
            raise TypeError(
                f"sample_weight is {weight!r:.200}; expected the name of a column in {path!r:.200}, or None"
            )
        paths = path if isinstance(path, list | tuple) else [path]
        data = {"path": [os.fspath(one) for one in paths], "target": list(names), "weight": weight}
        overrides = check_overrides(self.overrides, data)
        run = self._train(data, overrides, default_storage=RunSpec().storage_path)
        self.n_features_in_ = len(run.model.columns)
        self.feature_names_in_ = np.array(run.model.columns, dtype=object)
        return self._take(run, one_target=isinstance(target, str))

    def _train(self, data: Mapping[str, Any], overrides: Mapping[str, Any], default_storage: str) -> Run:
        parameters = {name: getattr(self, name) for name in FIELDS}
        parameters["random_state"] = _seed(self.random_state)
        if self.storage_path is None:
            parameters["storage_path"] = default_storage
        if self.name is None:
            parameters["name"] = unique_name()
        return train(make_spec(parameters, data), overrides, fresh=True)

    def _take(self, run: Run, *, one_target: bool) -> DistributedLinearRegression:
        self.run_ = run
        self.model_ = model = run.model
        self.coef_ = (model.coef_KD[0] if one_target else model.coef_KD).copy()
        self.intercept_: float | Matrix = model.intercept_K.copy()
        if one_target or not self.fit_intercept:  # one 0.0 for all targets, as LinearRegression has it
            self.intercept_ = float(model.intercept_K[0])
        if SOLVERS.is_iterative(run.result["solver"]["name"]):
            self.n_iter_ = run.result["solver"]["epochs"]
        return self

    def _design(self, X: Any) -> Matrix:
        """Return the (N, D) encoded columns of X."""
        model = self.model_
        if not all(column.from_numbers for column in model.encoding.columns):
            validate_data(self, X, reset=False, skip_check_array=True)
            table = as_arrow(X)
            if table is None:
                raise ValueError(
                    f"X is {type(X).__name__}, and the model has columns that are encoded by their levels; "
                    "expected a DataFrame or a pyarrow Table"
                )
            return model.design_matrix(table.rename_columns(model.columns), where="X")
        refuse_types(X, text=True)
        x_ND = validate_data(self, X, reset=False, dtype=_FLOATS, ensure_all_finite=_finite_if(model.missing))
        if model.missing == "error":
            return np.asarray(x_ND)
        return model.design_matrix(pa.table(dict(zip(model.columns, x_ND.T, strict=True))), where="X")


def _finite_if(missing: str) -> bool | str:
    """Return what scikit-learn's checks are to say of NaN."""
    return True if missing == "error" else "allow-nan"


def _seed(random_state: Any) -> int:
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
