"""The export to MLflow: a folder that ``mlflow.pyfunc.load_model`` loads, without pickle.

The folder holds the model as linreg_dist saves it, and names this module as its loader: it predicts as
`LinearModel.predict` does, and needs linreg-dist where it is loaded (MLflow's own requirements file says so).
"""

from __future__ import annotations

import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from linreg_dist._version import __version__
from linreg_dist.export.format import Format

if TYPE_CHECKING:
    import pandas as pd

    from linreg_dist.export.terms import LevelTerm, NumberTerm
    from linreg_dist.model.linear_model import LinearModel

_OURS = r"data/linear_model/(model\.safetensors|config\.json)"
_THEIRS = (
    r"MLmodel|conda\.yaml|python_env\.yaml|requirements\.txt|(serving_)?input_example\.json|"
    r"input_example_metadata\.json"
)


class Mlflow(Format):
    """A folder ``mlflow`` with a model of the pyfunc flavor, its signature and an example of its input."""

    name: ClassVar[str] = "mlflow"
    needs: ClassVar[tuple[str, ...]] = ("mlflow", "pandas")
    place: ClassVar[str] = "mlflow"
    is_folder: ClassVar[bool] = True
    inside: ClassVar[re.Pattern[str]] = re.compile(f"{_OURS}|{_THEIRS}")

    def files(self, model: LinearModel, dialect: str | None = None) -> Mapping[str, bytes]:
        """Return the files of the folder, by their paths below it.

        Raises:
            SpecError: a column has no form that a signature can name.

        """
        with tempfile.TemporaryDirectory(prefix="linreg_dist-") as scratch, _without_advice():
            import mlflow.pyfunc

            saved, folder = Path(scratch) / "linear_model", Path(scratch) / "model"
            replace(model, covariance=None, folder=None).save(saved)  # nobody predicts with it
            mlflow.pyfunc.save_model(
                path=str(folder),
                loader_module=__name__,
                data_path=str(saved),
                signature=signature(model),
                input_example=example(model),
                pip_requirements=[f"linreg-dist=={__version__}", f"mlflow=={mlflow.__version__}", "pandas"],
            )
            paths = [path for path in folder.rglob("*") if path.is_file()]
            return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep back what MLflow advises those who write models by hand."""
    logger = logging.getLogger("mlflow.pyfunc")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def signature(model: LinearModel) -> Any:
    """Return the ``mlflow.models.ModelSignature`` of a model.

    Texts are of the type string and predictions double; numbers may come as any type, because MLflow refuses
    whole numbers of 64 bits, booleans and nulls where a double is named, and `predict` takes all of them.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, Schema

    from linreg_dist.export.terms import NumberTerm, prediction_names, terms

    inputs = [
        ColSpec(
            DataType.string if not isinstance(term, NumberTerm) and term.family == "text" else AnyType(),
            term.name,
        )
        for term in terms(model)
    ]
    outputs = [ColSpec(DataType.double, name) for name in prediction_names(model)]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def example(model: LinearModel) -> pd.DataFrame:
    """Return a row that the model can predict: zeros, and the first level of each category."""
    import pandas as pd

    from linreg_dist.export.terms import terms

    return pd.DataFrame({term.name: [_example_of(term)] for term in terms(model)})


def _example_of(term: NumberTerm | LevelTerm) -> Any:
    from linreg_dist.export.terms import NumberTerm

    if isinstance(term, NumberTerm):
        return 0.0 if term.length is None else [0.0] * term.length
    return term.levels[0] if term.levels else None


class Predictor:
    """What ``mlflow.pyfunc`` calls: a DataFrame in, a DataFrame of predictions out."""

    def __init__(self, model: LinearModel) -> None:
        from linreg_dist.export.terms import NumberTerm, terms

        self.model = model
        self._whole = [
            term.name
            for term in terms(model)
            if not isinstance(term, NumberTerm) and term.family == "integer"
        ]

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Return the predictions, named as `linreg_dist` names them.

        Raises:
            DataError: see `LinearModel.predict`.

        """
        import pandas as pd

        from linreg_dist.export.terms import prediction_names

        names = prediction_names(self.model)
        if isinstance(model_input, pd.DataFrame):
            # pandas turns whole numbers with nulls among them into floats.
            floats = [
                name for name in self._whole if name in model_input and model_input[name].dtype.kind == "f"
            ]
            model_input = model_input.astype(dict.fromkeys(floats, "Int64"))
        predicted = self.model.predict(model_input).reshape(-1, len(names))
        return pd.DataFrame(predicted, columns=list(names), index=getattr(model_input, "index", None))


def _load_pyfunc(path: str) -> Predictor:
    """Return the model in a folder; the name is what MLflow calls."""
    from linreg_dist.model.linear_model import LinearModel

    return Predictor(LinearModel.load(path))
