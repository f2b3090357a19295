"""The export to scikit-learn: a fitted pipeline of its own estimators, in a skops file and so without pickle.

The pipeline takes a DataFrame with the columns of the data; a column of lists enters as its places, columns
``name[0]`` to ``name[n-1]``. It needs nothing of linreg_dist to load or to predict.

A level is a column of zeros and ones for each level, the base too, and where missing values have a term two
more, for None and NaN. Where a missing value leaves no prediction, the coefficient of its column is NaN, and
the design matrix is sparse: products with zeros are not made, and only such rows become NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from linreg_dist.errors import SpecError
from linreg_dist.export.format import Format
from linreg_dist.wording.names import some_names

if TYPE_CHECKING:
    from linreg_dist.export.terms import Array, LevelTerm, NumberTerm
    from linreg_dist.model.linear_model import LinearModel


class Sklearn(Format):
    """A file ``model.skops`` with a fitted scikit-learn pipeline."""

    name: ClassVar[str] = "sklearn"
    needs: ClassVar[tuple[str, ...]] = ("sklearn", "skops", "pandas")
    place: ClassVar[str] = "model.skops"

    def files(self, model: LinearModel, dialect: str | None = None) -> Mapping[str, bytes]:
        """Return the file.

        Raises:
            SpecError: a column cannot be computed, or two would have one name.

        """
        import skops.io

        content: bytes = skops.io.dumps(pipeline(model))
        return {"": content}


def pipeline(model: LinearModel) -> Any:
    """Return the model as a fitted ``sklearn.pipeline.Pipeline``.

    Raises:
        SpecError: see `Sklearn.files`.

    """
    import numpy as np
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import Pipeline

    from linreg_dist.export.terms import NumberTerm, terms

    found = terms(model)
    numbers = [term for term in found if isinstance(term, NumberTerm)]
    levels = [term for term in found if not isinstance(term, NumberTerm)]
    places = [place for term in numbers for place in _places(term)]
    _check_names([*places, *(term.name for term in levels)])
    steps: list[tuple[str, Any, list[str]]] = []
    coef: list[Array] = []
    # One row in which all is there is enough to fit what is then given its values.
    row: dict[str, Any] = dict.fromkeys(places, 0.0)
    if places:
        step, coef_KD = _numbers(numbers, model.missing)
        steps.append(("numbers", step, places))
        coef.append(coef_KD)
    for number, term in enumerate(levels):
        step, coef_KD = _levels(term, model.missing)
        steps.append((f"levels_{number}", step, [term.name]))
        coef.append(coef_KD)
        row[term.name] = term.levels[0] if term.levels else None
    coef_KD = np.concatenate(coef, axis=1)
    rows = pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in row.items()})
    columns = ColumnTransformer(steps, sparse_threshold=float(np.isnan(coef_KD).any())).fit(rows)
    if places and model.missing == "mean":
        imputer = columns.named_transformers_["numbers"].named_steps["fill"]
        imputer.statistics_ = np.concatenate([term.fill_L for term in numbers])
    regression = LinearRegression()
    regression.coef_ = coef_KD[0] if len(model.targets) == 1 else coef_KD
    regression.intercept_ = float(model.intercept_K[0]) if len(model.targets) == 1 else model.intercept_K
    regression.n_features_in_ = coef_KD.shape[1]
    return Pipeline([("columns", columns), ("regression", regression)])


def _places(term: NumberTerm) -> list[str]:
    """Return the columns of the DataFrame that a number or a list of them is read from."""
    if term.length is None:
        return [term.name]
    return [f"{term.name}[{place}]" for place in range(term.length)]


def _numbers(terms: list[NumberTerm], missing: str) -> tuple[Any, Array]:
    """Return what makes numbers of the columns, and the coefficients (K, D) of what it makes."""
    import numpy as np
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.pipeline import FeatureUnion, Pipeline
    from sklearn.preprocessing import FunctionTransformer

    coef_KD = np.concatenate([term.coef_KL for term in terms], axis=1)
    no_value = dict.fromkeys(("nan", "posinf", "neginf"), float("nan"))
    steps = [
        ("float64", FunctionTransformer(np.asarray, kw_args={"dtype": "float64"})),
        ("infinite", FunctionTransformer(np.nan_to_num, kw_args=no_value)),
    ]
    if missing == "mean":
        steps.append(("fill", SimpleImputer()))
    elif missing == "drop":
        zero = SimpleImputer(strategy="constant", fill_value=0.0)
        union = FeatureUnion([("value", zero), ("missing", MissingIndicator(features="all", sparse=True))])
        steps.append(("missing", union))
        coef_KD = np.concatenate([coef_KD, np.full_like(coef_KD, np.nan)], axis=1)
    return Pipeline(steps), coef_KD


def _levels(term: LevelTerm, missing: str) -> tuple[Any, Array]:
    """Return what makes zeros and ones of a column, and the coefficients (K, V) of what it makes."""
    import numpy as np
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

    refuses = bool(np.isnan(term.unseen_K).any())
    values = [int(level) if term.family == "integer" else level for level in term.levels]
    coef_VK = term.value_VK
    if missing != "error" or not refuses or not values:
        values += [None, float("nan")]
        coef_VK = np.concatenate([coef_VK, term.missing_K[None], term.missing_K[None]])
    encoder = OneHotEncoder(
        categories=[values], handle_unknown="error" if refuses else "ignore", dtype="float64"
    )
    as_objects = FunctionTransformer(np.asarray, kw_args={"dtype": "O"})
    return Pipeline([("object", as_objects), ("level", encoder)]), coef_VK.T


def _check_names(names: list[str]) -> None:
    if not names:
        raise SpecError(
            "the model cannot be exported to scikit-learn, whose pipelines need a column: it has none"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SpecError(
            f"the model cannot be exported to scikit-learn: {some_names(twice)} would be a column and a "
            "place in a column of lists. Rename the columns"
        )
