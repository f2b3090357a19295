"""`ModuleModel`: a trained module of the user's own, with the encoding of its columns.

Its folder has the weights and the name of its class, and no code. To predict, the class is imported, which
runs its code: only where the caller has allowed it.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from linreg_dist.data.design.encoding import Encoding
from linreg_dist.documents import ModelDetails, ModuleDescription
from linreg_dist.errors import SpecError
from linreg_dist.model.config import OWN_KEYS, check_config, with_checksum
from linreg_dist.model.linear_model import FORMAT_VERSION, LinearModel, Matrix
from linreg_dist.model.own_files import CONFIG, MODULE_TYPE, WEIGHTS, refuse_foreign_files
from linreg_dist.storage import ObjectPath, as_location, one_line, write_whole
from linreg_dist.wording.done import left_out_lines, steps_lines
from linreg_dist.wording.numbers import format_count
from linreg_dist.wording.results import solver_text
from linreg_dist.wording.summary import Summary, SummaryTable
from linreg_dist.wording.text import safe_name

if TYPE_CHECKING:
    from linreg_dist.model.network import ScaledNetwork
    from linreg_dist.model.plot import Plot

_SCALES = ("x_mean", "x_scale", "y_mean", "y_scale")
_lock = threading.Lock()


@dataclass(frozen=True, repr=False)
class ModuleModel(LinearModel):
    """A model whose prediction is a module of the user's; it is a `LinearModel` in all but coefficients.

    Attributes:
        module: the class, ``package.Class``.
        module_args: its keyword arguments.
        weights: the module's state (``module.*``) and the scales of the data (``scale.*``).
        allow_module: whether the class may be imported.

    """

    module: str = ""
    module_args: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict, compare=False)
    allow_module: bool = field(default=False, compare=False)

    @classmethod
    def of(
        cls, linear: LinearModel, module: str, module_args: Mapping[str, Any], weights: Mapping[str, Any]
    ) -> ModuleModel:
        """Return the model with the columns and details of another one, and these weights."""
        return cls(
            linear.coef_KD,
            linear.intercept_K,
            linear.encoding,
            linear.targets,
            linear.missing,
            linear.details,
            module=module,
            module_args=dict(module_args),
            weights=dict(weights),
            allow_module=True,  # whoever trained it has run it
        )

    @property
    def is_linear(self) -> bool:
        """Whether it has coefficients."""
        return False

    @property
    def num_parameters(self) -> int:
        """The number of the module's weights."""
        return sum(value.size for name, value in self.weights.items() if name.startswith("module."))

    @property
    def weight_bytes(self) -> bytes:
        """Its class, arguments and all weights."""
        named = json.dumps([self.module, dict(self.module_args)], sort_keys=True).encode()
        return named + b"".join(self.weights[name].tobytes() for name in sorted(self.weights))

    def predict_encoded(self, x_ND: Matrix) -> Matrix:
        """Return the predictions for rows as `design_matrix` makes them; NaN where a row has a NaN.

        Raises:
            SpecError: the class may not be imported, cannot be, or does not fit the weights.

        """
        network = self._network()
        whole_N = np.isfinite(x_ND).all(axis=1)
        predicted = np.full((len(x_ND), len(self.targets)), np.nan)
        if whole_N.any():
            predicted[whole_N] = network.predict(x_ND[whole_N])
        return predicted

    def save(self, folder: str | Path | ObjectPath) -> None:
        """Write ``model.safetensors`` and ``config.json``; no code.

        Raises:
            SpecError: the folder holds files of these names that are no model's.

        """
        path = as_location(folder)
        refuse_foreign_files(path)
        path.mkdir(parents=True, exist_ok=True)
        tensors = {name: np.ascontiguousarray(value) for name, value in self.weights.items()}
        metadata = {"format": "linreg_dist", "version": str(FORMAT_VERSION)}
        write_whole(path / WEIGHTS, save(tensors, metadata=metadata))
        config = {
            "format_version": FORMAT_VERSION,
            "model_type": MODULE_TYPE,
            "module": self.module,
            "module_args": dict(self.module_args),
            "targets": list(self.targets),
            "missing": self.missing,
            "columns": self.encoding.to_json(),
            "feature_names": list(self.encoding.names),
            **self.details.to_json(),
        }
        write_whole(path / CONFIG, json.dumps(with_checksum(config, tensors), indent=2) + "\n")

    def describe(self) -> ModuleDescription:
        """Return what ``show --json`` prints."""
        details = self.details
        return ModuleDescription(
            name=details.name,
            module=self.module,
            module_args=dict(self.module_args),
            parameters=self.num_parameters,
            features=list(self.encoding.names),
            targets=list(self.targets),
            solver=details.solver,
            rows=details.rows,
            missing_values=details.missing_values,
            metrics=details.metrics,
            data=details.data,
            versions=details.versions,
        )

    def summary(self) -> Summary:
        """Return the module, how it was trained, and how well it fits."""
        details = self.details
        solver, rows, metrics = details.solver, details.rows, details.metrics
        lines = [
            ("module", self.module),
            ("arguments", json.dumps(dict(self.module_args))),
            ("parameters", format_count(self.num_parameters)),
            ("features", format_count(self.encoding.num_encoded)),
        ]
        if solver:
            lines.append(("solver", f"{solver_text(solver)}, {solver.stopped or ''}".rstrip(", ")))
        lines += steps_lines(solver)
        if rows:
            held_out = format_count(rows.validation)
            lines.append(("rows", f"{format_count(rows.train)} train, {held_out} validation"))
        for split, found in (
            ("train", metrics and metrics.train),
            ("validation", metrics and metrics.validation),
        ):
            if found:
                r2 = "" if found.r2 is None else f", R² {found.r2:.6g}"
                lines.append((split, f"MSE {found.mse:.6g}{r2}"))
        lines += left_out_lines(rows, details.data)
        return Summary(f"Module of {', '.join(self.targets)}", (SummaryTable((), tuple(lines)),))

    def cov_params(self, target: str | None = None) -> Matrix:
        """Not there.

        Raises:
            SpecError: always.

        """
        self._refuse("covariance matrix")

    def conf_int(self, level: float = 0.95, target: str | None = None) -> Matrix:
        """Not there.

        Raises:
            SpecError: always.

        """
        self._refuse("confidence intervals")

    def plot(self, target: str | None = None, *, most: int = 30) -> Plot:
        """Not there.

        Raises:
            SpecError: always.

        """
        self._refuse("plot of coefficients")

    def detached(self) -> ModuleModel:
        """Return the model: all of it is in memory."""
        return self

    def __repr__(self) -> str:
        targets = ", ".join(map(safe_name, self.targets))
        weights = format_count(self.num_parameters)
        return f"<ModuleModel of {targets}: {safe_name(self.module)}, {weights} weights>"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_kept"}

    def _refuse(self, what: str) -> NoReturn:
        raise SpecError(f"a module of your own ({self.module}) has no coefficients, and no {what}")

    def _network(self) -> ScaledNetwork:
        with _lock:
            kept: ScaledNetwork | None = self.__dict__.get("_kept")
            if kept is None:
                kept = self._build()
                self.__dict__["_kept"] = kept
            return kept

    def _build(self) -> ScaledNetwork:
        if not self.allow_module:
            raise SpecError(
                f"the model's prediction is the class {self.module}, whose code runs when it is imported. If "
                "you trust it, allow that: --allow-module, or LinearModel.load(folder, allow_module=True)"
            )
        import torch

        from linreg_dist.model.network import ScaledNetwork, build_module

        inner = build_module(self.module, self.module_args, self.encoding.num_encoded, len(self.targets))
        scales = [np.asarray(self.weights[f"scale.{name}"]) for name in _SCALES]
        network = ScaledNetwork(inner, *scales)
        state = {
            name.removeprefix("module."): torch.from_numpy(np.array(value))
            for name, value in self.weights.items()
            if name.startswith("module.")
        }
        # A layer that takes its width from its first rows has none yet.
        network.eval()
        network.predict(np.zeros((1, self.encoding.num_encoded)))
        try:
            inner.load_state_dict(state)
        except RuntimeError as error:
            raise SpecError(
                f"the weights do not fit {self.module}, which has changed since it was trained: "
                f"{one_line(error)}"
            ) from error
        return network


def module_model(
    path: Path | ObjectPath, config: Mapping[str, Any], tensors: Mapping[str, Any], *, allow_module: bool
) -> ModuleModel:
    """Return the model of a folder that `ModuleModel.save` wrote; nothing is imported.

    Raises:
        SpecError: it cannot be used.

    """
    try:
        check_config(config, tensors, MODULE_TYPE)
        encoding = Encoding.from_json(config["columns"])
        name, args = config.get("module"), config.get("module_args")
        if not isinstance(name, str) or not isinstance(args, dict):
            raise ValueError("it names no module with its arguments")
        num_targets = len(config["targets"])
        for scale in _SCALES:
            found = tensors.get(f"scale.{scale}")
            length = encoding.num_encoded if scale[0] == "x" else num_targets
            if found is None or found.shape != (length,) or not np.isfinite(found).all():
                raise ValueError(f"it has no scale.{scale} of {length} finite numbers")
        details = {k: v for k, v in config.items() if k not in (*OWN_KEYS, "module", "module_args")}
        known = ModelDetails.from_json(details)
    except ValueError as error:
        raise SpecError(f"the model at {path} cannot be used: {one_line(error)}") from error
    nothing = np.full((num_targets, encoding.num_encoded), np.nan)
    return ModuleModel(
        nothing,
        nothing[:, 0] if encoding.num_encoded else np.full(num_targets, np.nan),
        encoding,
        tuple(config["targets"]),
        config["missing"],
        known,
        folder=path,
        module=name,
        module_args=args,
        weights=dict(tensors),
        allow_module=allow_module,
    )
