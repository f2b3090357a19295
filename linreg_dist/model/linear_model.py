"""A fitted linear model: coefficients in the units of the data, how columns were encoded, where it came from.

It predicts with numpy alone; neither torch nor ray is needed to score.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from safetensors.numpy import save

from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.kind import ColumnKind, Mask
from linreg_dist.documents import ModelDetails
from linreg_dist.errors import DataError, SpecError
from linreg_dist.model.config import OWN_KEYS, check_config, check_scaling, with_checksum
from linreg_dist.model.covariance import FILE_NAME as _COVARIANCE
from linreg_dist.model.covariance import CoefficientCovariance
from linreg_dist.model.decode import decode_stored
from linreg_dist.model.own_files import CONFIG, MODEL_TYPE, MODULE_TYPE, WEIGHTS, refuse_foreign_files
from linreg_dist.storage import TENSORS_BYTES, ObjectPath, as_location, one_line, read_file, write_whole
from linreg_dist.storage.tensors import numbers, read_tensors
from linreg_dist.wording.json_text import parse_object
from linreg_dist.wording.names import intercept_name, some_names

if TYPE_CHECKING:
    from linreg_dist.model.plot import Plot
    from linreg_dist.wording.summary import Summary

FORMAT_VERSION = 1
_WEIGHTS, _CONFIG = WEIGHTS, CONFIG
_MODEL_TYPE = MODEL_TYPE

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, repr=False)
class LinearModel:
    """y = X·coef + intercept, with the encoding that makes X from columns.

    Attributes:
        coef_KD: (K, D) float64, one row per target, in the units of the data.
        intercept_K: (K,) float64.
        encoding: makes the design matrix from named columns.
        targets: names of the K targets.
        missing: what a missing feature does at scoring: an error, a null prediction (``drop``), or the
            training mean.
        details: everything else worth keeping: solver, metrics, rows, versions, inference.
        covariance: of the coefficients, where it exists and is in memory; `cov_params` reads it when asked.
        folder: where the model was loaded from.

    """

    coef_KD: Matrix
    intercept_K: Matrix
    encoding: Encoding
    targets: tuple[str, ...]
    missing: Literal["error", "drop", "mean"] = "error"
    details: ModelDetails = field(default_factory=ModelDetails)
    covariance: CoefficientCovariance | None = field(default=None, repr=False, compare=False)
    folder: Path | ObjectPath | None = field(default=None, repr=False, compare=False)

    @property
    def is_linear(self) -> bool:
        """Whether it has coefficients: a module of the user's own has none."""
        return True

    @property
    def num_parameters(self) -> int:
        """The number of coefficients, or of a module's weights; intercepts apart."""
        return self.coef_KD.size

    @property
    def weight_bytes(self) -> bytes:
        """The numbers that tell its predictions from another model's, for a digest; intercepts apart."""
        return self.coef_KD.tobytes()

    @property
    def coef_(self) -> Matrix:
        """Coefficients, (D,) for one target and (K, D) for several, as scikit-learn shapes them."""
        return self.coef_KD[0] if len(self.targets) == 1 else self.coef_KD

    @property
    def intercept_(self) -> float | Matrix:
        """The intercept, a number for one target and (K,) for several."""
        return float(self.intercept_K[0]) if len(self.targets) == 1 else self.intercept_K

    @property
    def feature_names_in_(self) -> npt.NDArray[np.object_]:
        """Names of the encoded columns, one per coefficient."""
        return np.array(self.encoding.names, dtype=object)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the data's columns that prediction needs."""
        return tuple(column.name for column in self.encoding.columns)

    @property
    def needed_columns(self) -> tuple[str, ...]:
        """Those of `columns` that have a coefficient: a category that had one level has none."""
        return tuple(column.name for column in self.encoding.columns if column.encoded_names)

    def cov_params(self, target: str | None = None) -> Matrix:
        """Return the covariance matrix of a target's coefficients, as statsmodels' ``cov_params`` does.

        Args:
            target: which, if there are several; default: the first.

        Returns:
            (Q, Q) float64, in the order of `cov_names`; of the kind that ``model.covariance`` asked for. NaN
            for a constant feature.

        Raises:
            SpecError: it does not exist (the message says why), or there is no such target.

        """
        found = self._find_covariance()
        if found is None:
            inference = self.details.inference
            reason = "only the exact solver has one" if inference is None else inference.reason
            why = reason or "its folder lacks covariance.safetensors; train again"
            raise SpecError(f"the coefficients of this model have no covariance matrix: {why}")
        return found.of(self.targets[0] if target is None else target)

    def _find_covariance(self) -> CoefficientCovariance | None:
        if self.covariance is None and self.folder is not None and (self.folder / _COVARIANCE).exists():
            return CoefficientCovariance.load(self.folder / _COVARIANCE)
        return self.covariance

    def conf_int(self, level: float = 0.95, target: str | None = None) -> Matrix:
        """Return the confidence intervals of a target's coefficients, as statsmodels' ``conf_int`` does.

        Args:
            level: of confidence, between 0 and 1.
            target: which, if there are several; default: the first.

        Returns:
            (Q, 2) float64, low and high in the order of `cov_names`; NaN for a constant feature.

        Raises:
            SpecError: there are no standard errors (the message says why), or there is no such target.

        """
        from linreg_dist.model.summary import intervals

        return intervals(self, level, target)

    def summary(self) -> Summary:
        """Return coefficients, fit and provenance: print it, or let a notebook show it."""
        from linreg_dist.model.summary import summarise

        return summarise(self)

    def plot(self, target: str | None = None, *, most: int = 30) -> Plot:
        """Return a drawing of the largest effects with their 95 % intervals; a notebook shows it.

        Raises:
            SpecError: there is no such target.

        """
        from linreg_dist.model.plot import plot_coefficients

        return plot_coefficients(self, target, most)

    def __repr__(self) -> str:
        from linreg_dist.model.summary import short_repr

        return short_repr(self)

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def detached(self) -> LinearModel:
        """Return the model with all of it in memory, for when the folder it was loaded from goes away."""
        return replace(self, covariance=self._find_covariance(), folder=None)

    @property
    def cov_names(self) -> tuple[str, ...]:
        """Names of the rows and columns of `cov_params`: the intercept, if one was fitted, then features."""
        names = self.encoding.names
        return ((intercept_name(names),) if self.details.fit_intercept else ()) + names

    def predict(self, data: Any) -> Matrix:
        """Predict the target(s).

        Args:
            data: a pyarrow Table or RecordBatch, a pandas DataFrame or a mapping of columns (matched by
                name), or a 2-D array whose columns are the encoded features in the order of
                `feature_names_in_`.

        Returns:
            (N,) float64 for one target, (N, K) for several. A row with a missing feature is NaN where
            ``missing`` is "drop".

        Raises:
            DataError: a column is missing or has the wrong type, a value is missing where ``missing`` is
                "error", or a level is new where the column says "error".

        """
        if hasattr(data, "__array__") and getattr(data, "ndim", None) == 2 and not hasattr(data, "columns"):
            x_ND = np.asarray(data, dtype=np.float64)
            if x_ND.shape[1] != self.encoding.num_encoded:
                raise DataError(
                    f"the array has {x_ND.shape[1]} columns; expected {self.encoding.num_encoded}: "
                    f"{some_names(self.encoding.names)}"
                )
        else:
            x_ND = self.design_matrix(as_table(data))
        predicted = self.predict_encoded(x_ND)
        return predicted[:, 0] if len(self.targets) == 1 else predicted

    def predict_encoded(self, x_ND: Matrix) -> Matrix:
        """Return the predictions for rows as `design_matrix` makes them, (N, K)."""
        return x_ND @ self.coef_KD.T + self.intercept_K

    def design_matrix(self, table: pa.Table, where: str = "the data", count_N: Mask | None = None) -> Matrix:
        """Return the (N, D) float64 design matrix of ``table``, strides (8, 8N); see `predict` for the
        errors.

        Args:
            table: the columns.
            where: names the rows in messages.
            count_N: which rows count; the others are NaN and raise no error. None counts all.

        """
        absent = [name for name in self.needed_columns if name not in table.column_names]
        if absent:
            raise DataError(
                f"{where} has no column {', '.join(map(repr, absent))}, which the model needs; it has "
                f"{some_names(table.column_names)}"
            )
        columns = [column for column in self.encoding.columns if column.name in table.column_names]
        values = {column.name: decode_stored(column, table.column(column.name), where) for column in columns}
        count_N = self._without_missing(columns, values, count_N, where)
        x_DN = np.full((self.encoding.num_encoded, table.num_rows), np.nan)
        if count_N is None or count_N.all():
            self.encoding.encode(values, slice(None), x_DN, where=where)
        else:
            rows = np.flatnonzero(count_N)
            taken_DM = np.empty((self.encoding.num_encoded, len(rows)))
            self.encoding.encode(values, rows, taken_DM, where=where)
            x_DN[:, rows] = taken_DM
        return x_DN.T

    def _without_missing(
        self, columns: Sequence[ColumnKind], values: Mapping[str, Any], count_N: Mask | None, where: str
    ) -> Mask | None:
        """Return which rows count once those without a value are refused or left out; with ``missing: mean``
        the encoding fills them.
        """
        if self.missing == "mean":
            return count_N
        masks = {column.name: column.missing(values[column.name]) for column in columns}
        missing = {name: mask for name, mask in masks.items() if mask is not None}
        if self.missing == "error":
            for name, mask in missing.items():
                number = int(np.count_nonzero(mask if count_N is None else mask & count_N))
                if number:
                    raise DataError(
                        f"{where}: column {name!r} has {number:,} null, NaN or infinite values, and the "
                        "model was trained with data.missing: error. Remove those rows, or train with "
                        "missing: drop (null predictions) or mean"
                    )
        for mask in missing.values():
            count_N = ~mask if count_N is None else count_N & ~mask
        return count_N

    def save(self, folder: str | Path | ObjectPath) -> None:
        """Write ``model.safetensors``, ``config.json`` and, if there is one, ``covariance.safetensors``.

        ``folder``, a path or a URI, is made if need be.

        Raises:
            SpecError: it holds files of these names that are no model's.

        """
        covariance = self._find_covariance()
        path = as_location(folder)
        refuse_foreign_files(path)
        path.mkdir(parents=True, exist_ok=True)
        tensors = {"coef": np.ascontiguousarray(self.coef_KD), "intercept": self.intercept_K}
        metadata = {"format": "linreg_dist", "version": str(FORMAT_VERSION)}
        write_whole(path / _WEIGHTS, save(tensors, metadata=metadata))
        config = {
            "format_version": FORMAT_VERSION,
            "model_type": _MODEL_TYPE,
            "targets": list(self.targets),
            "missing": self.missing,
            "columns": self.encoding.to_json(),
            "feature_names": list(self.encoding.names),
            **self.details.to_json(),
        }
        write_whole(path / _CONFIG, json.dumps(with_checksum(config, tensors), indent=2) + "\n")
        if covariance is None:
            (path / _COVARIANCE).unlink(missing_ok=True)  # of an earlier model
        else:
            covariance.save(path / _COVARIANCE)

    @classmethod
    def load(cls, folder: str | Path | ObjectPath, *, allow_module: bool = False) -> LinearModel:
        """Read a model that `save` wrote; a run's folder is taken for the ``model`` folder in it.

        Args:
            folder: a path or a URI.
            allow_module: whether the class of a `ModuleModel` may be imported, which runs its code.

        Raises:
            SpecError: there is no model, or it was written by a newer version.
            StorageError: an object store does not answer.

        """
        path = as_location(folder)
        if not (path / _CONFIG).is_file() and (path / "model" / _CONFIG).is_file():
            path = path / "model"
        try:
            config = parse_object(read_file(path / _CONFIG))
            tensors = read_tensors(read_file(path / _WEIGHTS, TENSORS_BYTES))
        except FileNotFoundError as error:
            raise SpecError(
                f"no model at {folder}: expected a folder with {_CONFIG} and {_WEIGHTS}, such as "
                f"runs/<name>/model"
            ) from error
        except (OSError, ValueError) as error:
            raise SpecError(f"the model at {folder} cannot be read: {error}") from error
        if config.get("format_version") != FORMAT_VERSION:
            raise SpecError(
                f"the model at {folder} has format version {config.get('format_version')}; this "
                f"linreg_dist reads "
                f"{FORMAT_VERSION}: use the version that wrote it"
            )
        if config.get("model_type") == MODULE_TYPE:
            from linreg_dist.model.own_module import module_model

            return module_model(path, config, tensors, allow_module=allow_module)
        try:
            check_config(config, tensors)
            encoding = Encoding.from_json(config["columns"])
            if config["feature_names"] != list(encoding.names):
                raise ValueError("feature_names are not the names that its columns make, in their order")
            shape = len(config["targets"]), encoding.num_encoded
            check_scaling(config, shape[1])
            coef_KD = numbers(tensors, "coef", shape)
            intercept_K = numbers(tensors, "intercept", shape[:1])
            details = ModelDetails.from_json({k: v for k, v in config.items() if k not in OWN_KEYS})
        except ValueError as error:
            raise SpecError(
                f"the model at {folder} cannot be used: {one_line(error)}. {_CONFIG} and {_WEIGHTS} must "
                "be as they were written: copy the whole folder again, or train again"
            ) from error
        return cls(
            coef_KD=coef_KD,
            intercept_K=intercept_K,
            encoding=encoding,
            targets=tuple(config["targets"]),
            missing=config["missing"],
            details=details,
            folder=path,
        )


def as_table(data: Any) -> pa.Table:
    """Return named columns as a pyarrow Table.

    Raises:
        DataError: it is nothing with named columns.

    """
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if isinstance(data, Mapping):
        return pa.table(dict(data))
    if hasattr(data, "__dataframe__") or hasattr(data, "__arrow_c_stream__"):
        return pa.table(data) if hasattr(data, "__arrow_c_stream__") else pa.Table.from_pandas(data)
    raise DataError(
        f"cannot predict from {type(data).__name__}; expected a pyarrow Table, a DataFrame, a mapping of "
        f"columns or a 2-D array"
    )
