"""Intervals of predictions are those of statsmodels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.api as sm

import linreg_dist as lr
from linreg_dist.cli.main import run as call
from linreg_dist.model.intervals import Intervals
from linreg_dist.verbs.score import predict

Train = Callable[..., lr.Run]
BOUNDS = ["prediction_mean_low", "prediction_mean_high", "prediction_low", "prediction_high"]
QUIET = {"outputs": {"report": False}}


def rows(number: int, seed: int = 0, offset: float = 0.0, targets: int = 1) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    x, z = draw.normal(offset, 2.0, number), draw.normal(size=number)
    columns: dict[str, Any] = {"x": x, "z": z}
    for k in range(targets):
        columns[f"y{k}" if targets > 1 else "y"] = (
            1.0 + 0.5 * x - (k + 1) * z + draw.normal(size=number) * (1 + np.abs(z))
        )
    return columns


def written(folder: Path, columns: dict[str, Any], parts: int = 3) -> Path:
    folder.mkdir()
    table = pa.table(columns)
    step = -(-table.num_rows // parts)
    for part in range(parts):
        pq.write_table(table.slice(part * step, step), folder / f"{part}.parquet", row_group_size=40)
    return folder


def theirs(columns: dict[str, Any], new: dict[str, Any], target: str = "y", **fit: Any) -> np.ndarray:
    """Return (N, 4) bounds of statsmodels, in the order of `BOUNDS`."""
    design = sm.add_constant(np.stack([columns["x"], columns["z"]], axis=1))
    fitted = sm.OLS(columns[target], design).fit(**fit)
    asked = fitted.get_prediction(sm.add_constant(np.stack([new["x"], new["z"]], axis=1), has_constant="add"))
    frame = asked.summary_frame(alpha=0.1)
    return frame[["mean_ci_lower", "mean_ci_upper", "obs_ci_lower", "obs_ci_upper"]].to_numpy()


@pytest.mark.parametrize(("offset", "rtol"), [(0.0, 1e-10), (1e5, 1e-6)])
@pytest.mark.parametrize("covariance", ["nonrobust", "HC0", "HC3"])
def test_they_are_those_of_statsmodels(
    tmp_path: Path, train_here: Train, covariance: str, offset: float, rtol: float
) -> None:
    columns, new = rows(240, 0, offset), rows(100, 1, offset)
    run = train_here(written(tmp_path / "data", columns), model={"covariance": covariance}, **QUIET)
    predict(run.path, str(written(tmp_path / "new", new)), tmp_path / "out", ["x"], interval=0.9)
    found = pq.read_table(tmp_path / "out")
    assert found.column_names == ["x", "prediction", *BOUNDS]
    np.testing.assert_array_equal(found["x"].to_numpy(), new["x"])  # in the order of the rows
    bounds = np.stack([found[name].to_numpy() for name in BOUNDS], axis=1)
    predicted = found["prediction"].to_numpy()[:, None]
    fit = {} if covariance == "nonrobust" else {"cov_type": covariance}
    centred = {name: values - offset if name == "x" else values for name, values in columns.items()}
    expected = theirs(centred, {**new, "x": new["x"] - offset}, **fit)
    np.testing.assert_allclose(
        bounds - predicted, expected - expected[:, :2].mean(axis=1)[:, None], rtol=rtol
    )


def test_each_of_several_targets_has_its_own(tmp_path: Path, train_here: Train) -> None:
    columns = rows(240, targets=2)
    data = written(tmp_path / "data", columns)
    run = train_here(data, data={"target": ["y0", "y1"]}, **QUIET)
    assert call(["predict", str(run.path), "--data", str(data), "--output", str(tmp_path / "out"),
                 "--interval", "0.9"]) == 0  # fmt: skip
    found = pq.read_table(tmp_path / "out")
    ends = [name.removeprefix("prediction_") for name in BOUNDS]
    of_both = [f"prediction_{target}_{end}" for target in ("y0", "y1") for end in ends]
    assert found.column_names == ["prediction_y0", "prediction_y1", *of_both]
    for target in ("y0", "y1"):
        bounds = np.stack([found[f"prediction_{target}_{end}"].to_numpy() for end in ends], axis=1)
        np.testing.assert_allclose(bounds, theirs(columns, columns, target), rtol=1e-9)


def test_without_an_intercept_and_with_categories_they_are_z_v_z(tmp_path: Path, train_here: Train) -> None:
    columns = {**rows(240), "c": np.array(["a", "b", "c"] * 80)}
    run = train_here(written(tmp_path / "data", columns), model={"fit_intercept": False}, **QUIET)
    model, table = run.model, pa.table(columns)
    design = model.design_matrix(table)
    mean_low, mean_high, low, high = Intervals(model, 0.95).bounds(design, model.predict(table)[:, None])
    expected = np.einsum("nd,de,ne->n", design, model.cov_params(), design)
    ratio = ((high - low) ** 2 - (mean_high - mean_low) ** 2) / (mean_high - mean_low) ** 2
    inference = model.details.inference
    assert inference is not None
    sigma = inference.targets["y"].fit["sigma"]
    np.testing.assert_allclose(ratio, sigma**2 / expected, rtol=1e-9)


def test_a_row_without_a_prediction_has_no_interval(tmp_path: Path, train_here: Train) -> None:
    columns = {**rows(120), "same": np.full(120, 3.0)}
    run = train_here(written(tmp_path / "data", columns), data={"missing": "drop"}, **QUIET)
    new = pa.table({"x": [1.0, None, 1.0], "z": [0.0, 0.0, 0.0], "same": [3.0, 3.0, 4.0]})
    design, predicted = run.model.design_matrix(new), run.model.predict(new)
    bounds = np.stack(Intervals(run.model, 0.95).bounds(design, predicted[:, None]))
    assert np.isnan(predicted).tolist() == [False, True, False]
    # Of a feature that never varied nothing is known where it does.
    assert np.isnan(bounds).all(axis=0).tolist() == [False, True, True]
    assert np.isfinite(bounds[:, 0]).all()


def test_predictions_with_intervals_go_on_apart_from_those_without(tmp_path: Path, train_here: Train) -> None:
    data = written(tmp_path / "data", rows(120))
    run = train_here(data, **QUIET)
    predict(run.path, str(data), tmp_path / "out", interval=0.9)
    with pytest.raises(lr.SpecError, match="exists already"):
        predict(run.path, str(data), tmp_path / "out")
    predict(run.path, str(data), tmp_path / "out", overwrite=True)
    assert pq.read_table(tmp_path / "out").column_names == ["prediction"]


@pytest.mark.parametrize(
    ("sections", "level", "said"),
    [
        ({"model": {"l2": 0.1}}, "0.95", "penal"),
        ({"solver": {"name": "sgd", "epochs": 1}}, "0.95", "exact solver"),
        ({}, "95", "between 0 and 1"),
    ],
)
def test_where_there_are_none_it_is_exit_2_with_the_reason(
    tmp_path: Path,
    train_here: Train,
    capsys: pytest.CaptureFixture[str],
    sections: dict[str, Any],
    level: str,
    said: str,
) -> None:
    data = written(tmp_path / "data", rows(120))
    run = train_here(data, **sections, **QUIET)
    out = tmp_path / "out"
    arguments = ["predict", str(run.path), "--data", str(data), "--output", str(out), "--interval", level]
    assert call(arguments) == 2
    error = capsys.readouterr().err
    assert "--interval" in error
    assert said in error
    assert not out.exists()


def test_targets_whose_names_meet_are_refused(tmp_path: Path, train_here: Train) -> None:
    columns = rows(120, targets=2)
    columns["y0_low"] = columns.pop("y1")
    data = written(tmp_path / "data", columns)
    run = train_here(data, data={"target": ["y0", "y0_low"]}, **QUIET)
    with pytest.raises(lr.SpecError, match="two columns would be called prediction_y0_low"):
        predict(run.path, str(data), tmp_path / "out", interval=0.9)
