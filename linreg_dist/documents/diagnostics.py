"""diagnostics.json: what one pass over the rows of a finished fit says about its residuals and its columns.

Numbers of rows are counts; means, shares and quantiles are weighted where the job has weights. The classes
are plain ones, because a run makes hundreds of objects of them and knows their types; a file that is read is
checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Self

from linreg_dist.documents.base import Document


@dataclass(frozen=True)
class Histogram:
    """How often values lie between neighbouring edges, and beyond the first and the last one."""

    edges: list[float]
    counts: list[float]
    below: float = 0.0
    above: float = 0.0


@dataclass(frozen=True)
class Grid:
    """How often pairs lie in the cells of a grid, and the middle of each of its columns.

    Attributes:
        x_edges, y_edges: of the cells.
        counts: of cell [x][y].
        beyond: of pairs outside of the grid.
        rows: of each column, those above and below the grid among them.
        middles: the 5 %, 50 % and 95 % quantile of y in each column; None where it has too few rows.

    """

    x_edges: list[float]
    y_edges: list[float]
    counts: list[list[float]]
    beyond: float
    rows: list[int]
    middles: list[list[float] | None]


@dataclass(frozen=True)
class FeatureResiduals:
    """Residuals in bins of equal width of one encoded column; the first and last bin are open.

    Attributes:
        feature: the name of the column.
        edges: of the bins.
        rows, mean, sd: of each bin; mean and sd are None where it has no row.

    """

    feature: str
    edges: list[float]
    rows: list[int]
    mean: list[float | None]
    sd: list[float | None]


@dataclass(frozen=True)
class LevelResiduals:
    """The residuals of one level of a categorical column."""

    level: str
    rows: int
    mean: float
    sd: float


@dataclass(frozen=True)
class ColumnResiduals:
    """Residuals by level; ``left_out`` counts levels that are not among them."""

    column: str
    levels: list[LevelResiduals]
    left_out: int = 0


@dataclass(frozen=True)
class Cause:
    """A column's part in one prediction: its value or level, and how much that moves it from the mean's."""

    feature: str
    value: float | str
    contribution: float


@dataclass(frozen=True)
class RowResidual:
    """One row of the data.

    Attributes:
        file: by its key, which is its path below the data's folder.
        row: its number in the file, from 0.
        split: train or validation.
        actual, fitted, residual: actual less fitted is the residual.
        leverage: its own part in its prediction; None where it is not known, as for all rows held out.
        studentised: the residual in its own standard deviations.
        cook: Cook's distance.
        causes: the features that move the prediction most.

    """

    file: str
    row: int
    split: str
    actual: float
    fitted: float
    residual: float
    leverage: float | None = None
    studentised: float | None = None
    cook: float | None = None
    causes: list[Cause] = field(default_factory=list)


@dataclass(frozen=True)
class TargetDiagnostics:
    """The residuals of one target.

    Attributes:
        target: its name.
        rows: of the split that was looked at.
        mean, sd, skew, kurtosis: of the residuals; the kurtosis is the excess over the normal one's.
        quantiles: of the residuals, by percent.
        baseline_rmse, baseline_mae: of predicting the training mean of the target for every row.
        rmse, mae: of the model, on the same rows.
        histogram: of the residuals.
        normal_quantiles: pairs of a quantile of the standard normal distribution and of the residuals.
        by_fitted: fitted against residual.
        actual_by_fitted: fitted against actual.
        by_feature, by_level: residuals by the value of a column.
        largest: the rows with the largest errors, of both splits.
        influence: a sample of the training rows, with those of the largest leverage and errors.

    """

    target: str
    rows: int
    mean: float
    sd: float
    skew: float | None
    kurtosis: float | None
    quantiles: dict[str, float]
    baseline_rmse: float
    baseline_mae: float
    rmse: float
    mae: float
    histogram: Histogram
    normal_quantiles: list[list[float]]
    by_fitted: Grid
    actual_by_fitted: Grid
    by_feature: list[FeatureResiduals] = field(default_factory=list)
    by_level: list[ColumnResiduals] = field(default_factory=list)
    largest: list[RowResidual] = field(default_factory=list)
    influence: list[RowResidual] = field(default_factory=list)


@dataclass(frozen=True)
class FeatureRange:
    """An encoded column on the training rows that were looked at.

    Attributes:
        feature: its name.
        low, high: smallest and largest value.
        mean, sd: over all training rows.
        vif: variance inflation factor; None where it is not known.

    """

    feature: str
    low: float
    high: float
    mean: float | None = None
    sd: float | None = None
    vif: float | None = None


@dataclass(frozen=True)
class Correlation:
    """Correlations between encoded columns, on the training rows that were looked at."""

    names: list[str]
    matrix: list[list[float]]


class DiagnosticsCost(Document):
    """What the pass took, as result.json says it.

    Attributes:
        seconds: of the pass.
        share: of the whole run until then, the pass included.
        rows, row_groups: that were read.
        of_row_groups: how many there are.
        stopped: why not all were read; None where they were.

    """

    seconds: float
    share: float
    rows: int
    row_groups: int
    of_row_groups: int
    stopped: str | None = None


@dataclass(frozen=True)
class Diagnostics:
    """diagnostics.json.

    Attributes:
        version: of this form.
        cost: of the pass.
        split: the rows whose residuals are shown: validation, or train where too few are held out.
        weighted: whether rows have weights.
        targets: each of the first few targets.
        features: ranges of the encoded columns.
        correlation: None where there are fewer than two columns that vary.
        leverage_reason: why no leverage is known; None where it is.

    """

    cost: DiagnosticsCost
    split: str
    weighted: bool
    targets: list[TargetDiagnostics]
    version: int = 1
    features: list[FeatureRange] = field(default_factory=list)
    correlation: Correlation | None = None
    leverage_reason: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Return the document that was parsed from JSON.

        Raises:
            ValueError: a field has another type than it can have; names each.

        """
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python(document)

    def to_json(self) -> dict[str, Any]:
        """Return the document in JSON types."""
        found: dict[str, Any] = _in_json(self)
        return found


def _in_json(value: Any) -> Any:
    if isinstance(value, Document):
        return value.to_json()
    if is_dataclass(value):
        return {each.name: _in_json(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, list) and value and is_dataclass(value[0]):
        return [_in_json(each) for each in value]
    return value
