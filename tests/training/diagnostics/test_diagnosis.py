"""Every number of the diagnostics against numpy on the same rows; the sample, its bounds and its cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from linreg_dist import limits
from linreg_dist.data.design.columns import bind_columns
from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.documents import Diagnostics, Grid, TargetDiagnostics
from linreg_dist.jobspec import load_spec
from linreg_dist.training.diagnostics import Subject, diagnose
from linreg_dist.training.diagnostics import diagnosis as module
from linreg_dist.training.diagnostics.diagnosis import sampled_order
from linreg_dist.verbs.train import Run
from tests.parquet import write_parquet

Train = Callable[..., Run]
ROWS = 3000
HASH = {"method": "hash", "fraction": 0.4, "seed": 3}


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    data = pd.DataFrame(
        {
            "a": rng.normal(5, 2, ROWS),
            "b": rng.exponential(3, ROWS),
            "count": rng.poisson(4, ROWS),
            "kind": np.array(["x", "y", "z"])[rng.integers(0, 3, ROWS)],
            "weight": rng.uniform(0.5, 2, ROWS),
        }
    )
    data["y"] = 1 + 2 * data.a - data.b + (data.kind == "z") + rng.standard_t(4, ROWS)
    data["second"] = data.y * 2 + data["count"] + rng.normal(size=ROWS)
    return data


@pytest.fixture
def path(tmp_path: Path) -> Path:
    data = frame()
    write_parquet(tmp_path / "d" / "a.parquet", dict(data[:1800].items()), row_group_size=500)
    write_parquet(tmp_path / "d" / "b.parquet", dict(data[1800:].items()), row_group_size=300)
    return tmp_path / "d"


def stored(run: Run) -> Diagnostics:
    assert run.result.get("diagnostics_reason") is None
    return Diagnostics.from_json(json.loads((run.path / "diagnostics.json").read_text()))


def rows_of(path: Path, run: Run, target: str = "y") -> pd.DataFrame:
    """Return all rows with what the model says of them, and which of them validate."""
    frames = []
    for file in sorted(path.glob("*.parquet")):
        data = pq.read_table(file).to_pandas()
        data["file"], data["row"] = file.name, np.arange(len(data))
        frames.append(data)
    data = pd.concat(frames, ignore_index=True)
    predicted = np.asarray(run.model.predict(data))
    k = list(run.model.targets).index(target)
    data["fitted"] = predicted if predicted.ndim == 1 else predicted[:, k]
    data["residual"] = data[target] - data.fitted
    from linreg_dist.data.rows import hash_split

    data["held_out"] = np.concatenate(
        [hash_split(name, 0, len(part), 0.4, 3) for name, part in data.groupby("file", sort=True)]
    )
    return data


def weighted_quantile(values: Any, weights: Any, share: float) -> float:
    order = np.argsort(values)
    middles = np.cumsum(weights[order]) - weights[order] / 2
    return float(np.interp(share * weights.sum(), middles, values[order]))


def check_grid(grid: Grid, x: Any, y: Any, w: Any, *, weighted: bool) -> None:
    counts, _, _ = np.histogram2d(x, y, bins=[grid.x_edges, grid.y_edges], weights=w)
    assert np.array(grid.counts) == pytest.approx(counts)
    assert grid.beyond == pytest.approx(w.sum() - counts.sum())
    assert grid.beyond < 0.05 * w.sum()
    cell = np.digitize(x, grid.x_edges)
    for i, middle in enumerate(grid.middles):
        inside = cell == i + 1
        assert grid.rows[i] == inside.sum()
        if inside.sum() < 20:
            assert middle is None
        elif weighted:
            expected = [weighted_quantile(y[inside], w[inside], share) for share in (0.05, 0.5, 0.95)]
            assert middle == pytest.approx(expected)
        else:
            assert middle == pytest.approx(np.quantile(y[inside], (0.05, 0.5, 0.95)))


def check_target(
    found: TargetDiagnostics, shown: pd.DataFrame, train: pd.DataFrame, *, weighted: bool
) -> None:
    """Compare everything with numpy on the rows that are shown."""
    y, residual = shown[found.target].to_numpy(), shown.residual.to_numpy()
    w = shown.weight.to_numpy() if weighted else np.ones(len(shown))
    mean = np.average(residual, weights=w)
    sd = np.sqrt(np.average((residual - mean) ** 2, weights=w))
    assert found.rows == len(shown)
    assert (found.mean, found.sd) == (pytest.approx(mean, abs=1e-9), pytest.approx(sd))
    assert found.skew == pytest.approx(np.average(((residual - mean) / sd) ** 3, weights=w))
    assert found.kurtosis == pytest.approx(np.average(((residual - mean) / sd) ** 4, weights=w) - 3)
    assert found.rmse == pytest.approx(np.sqrt(np.average(residual**2, weights=w)))
    assert found.mae == pytest.approx(np.average(np.abs(residual), weights=w))
    simple = y - np.average(train[found.target], weights=train.weight if weighted else None)
    assert found.baseline_rmse == pytest.approx(np.sqrt(np.average(simple**2, weights=w)))
    assert found.baseline_mae == pytest.approx(np.average(np.abs(simple), weights=w))
    if not weighted:
        for percent, value in found.quantiles.items():
            assert value == pytest.approx(np.quantile(residual, int(percent) / 100))
        for z, value in found.normal_quantiles:
            assert value == pytest.approx(np.quantile(residual, NormalDist().cdf(z)))
    bars = found.histogram
    assert bars.counts == pytest.approx(np.histogram(residual, bars.edges, weights=w)[0])
    assert bars.below == pytest.approx(w[residual < bars.edges[0]].sum())
    assert bars.above == pytest.approx(w[residual >= bars.edges[-1]].sum())
    fitted = shown.fitted.to_numpy()
    check_grid(found.by_fitted, fitted, residual, w, weighted=weighted)
    check_grid(found.actual_by_fitted, fitted, y, w, weighted=weighted)
    for feature in found.by_feature:
        cells = np.clip(np.digitize(shown[feature.feature], feature.edges), 1, len(feature.edges) - 1) - 1
        for cell, (rows, bin_mean, bin_sd) in enumerate(
            zip(feature.rows, feature.mean, feature.sd, strict=True)
        ):
            inside = cells == cell
            assert rows == inside.sum()
            if rows:
                expected = np.average(residual[inside], weights=w[inside])
                assert bin_mean == pytest.approx(expected)
                variance = np.average((residual[inside] - expected) ** 2, weights=w[inside])
                assert bin_sd == pytest.approx(np.sqrt(variance), abs=1e-6)
    (column,) = found.by_level
    assert [level.level for level in column.levels] == ["x", "y", "z"]
    for level in column.levels:
        inside = (shown.kind == level.level).to_numpy()
        assert level.rows == inside.sum()
        assert level.mean == pytest.approx(np.average(residual[inside], weights=w[inside]))


@pytest.mark.parametrize("weighted", [False, True])
def test_every_number_is_that_of_numpy_on_the_same_rows(
    path: Path, train_here: Train, weighted: bool
) -> None:
    extra = {"weight": "weight"} if weighted else {}
    features = ["a", "b", "count", "kind"]
    run = train_here(path, data={"features": features, "validation": HASH, **extra})
    found = stored(run)
    data = rows_of(path, run)
    held_out, train = data[data.held_out], data[~data.held_out]
    assert found.split == "validation"
    assert found.weighted == weighted
    assert [feature.feature for feature in found.targets[0].by_feature] == ["a", "b", "count"]
    check_target(found.targets[0], held_out, train, weighted=weighted)
    for feature in found.features[:3]:
        values = train[feature.feature]
        assert (feature.low, feature.high) == (values.min(), values.max())
        w = train.weight if weighted else np.ones(len(train))
        assert feature.mean == pytest.approx(np.average(values, weights=w))


def test_leverage_cooks_distance_and_vif_are_those_of_statsmodels(path: Path, train_here: Train) -> None:
    import statsmodels.api as sm
    from statsmodels.stats.outliers_influence import variance_inflation_factor

    run = train_here(path, data={"features": ["a", "b", "count", "kind"], "validation": HASH})
    found = stored(run)
    train = rows_of(path, run).query("not held_out").reset_index(drop=True)
    x = pd.get_dummies(train[["a", "b", "count", "kind"]], drop_first=True).astype(float)
    fit = sm.OLS(train.y, sm.add_constant(x)).fit()
    influence = fit.get_influence()
    place = {(file, row): i for i, (file, row) in enumerate(zip(train.file, train.row, strict=True))}
    rows = found.targets[0].influence
    assert len(rows) > 100
    for row in rows:
        i = place[row.file, row.row]
        assert row.leverage == pytest.approx(influence.hat_matrix_diag[i])
        assert row.studentised == pytest.approx(influence.resid_studentized_internal[i])
        assert row.cook == pytest.approx(influence.cooks_distance[0][i])
    assert max(influence.hat_matrix_diag) == pytest.approx(max(row.leverage or 0 for row in rows))
    design = sm.add_constant(x).to_numpy()
    for i, feature in enumerate(found.features):
        assert feature.vif == pytest.approx(variance_inflation_factor(design, i + 1))
    assert found.correlation is not None
    assert np.array(found.correlation.matrix) == pytest.approx(np.corrcoef(x.T), abs=1e-6)


def test_the_largest_errors_are_named_with_file_row_and_causes(path: Path, train_here: Train) -> None:
    run = train_here(path, data={"features": ["a", "b", "count", "kind"], "validation": HASH})
    rows = stored(run).targets[0].largest
    data = rows_of(path, run)
    worst = data.loc[data.residual.abs().sort_values(ascending=False).index[: len(rows)]]
    assert [(row.file, row.row) for row in rows] == list(zip(worst.file, worst.row, strict=True))
    assert [row.residual for row in rows] == pytest.approx(list(worst.residual))
    assert [row.split == "validation" for row in rows] == list(worst.held_out)
    coef = dict(zip(run.model.encoding.names, run.model.coef_, strict=True))
    train = data[~data.held_out]
    for row, (_, values) in zip(rows, worst.iterrows(), strict=True):
        causes = {cause.feature: cause for cause in row.causes}
        assert len(causes) == 3
        for name in causes.keys() & {"a", "b", "count"}:
            assert causes[name].value == pytest.approx(values[name])
            moved = coef[name] * (values[name] - train[name].mean())
            assert causes[name].contribution == pytest.approx(moved)
        if "kind" in causes:
            assert causes["kind"].value == values["kind"]


def test_several_targets_are_looked_at_apart(path: Path, train_here: Train) -> None:
    data = {"target": ["y", "second"], "features": ["a", "b", "count", "kind"], "validation": HASH}
    run = train_here(path, data=data)
    found = stored(run)
    for target in found.targets:
        rows = rows_of(path, run, target.target)
        check_target(target, rows[rows.held_out], rows[~rows.held_out], weighted=False)
    assert [target.target for target in found.targets] == ["y", "second"]


def subject_of(path: Path, run: Run) -> Subject:
    data = load_spec({"data": {"path": str(path), "target": "y", "features": ["a", "b", "kind"]}}).data
    manifest = read_manifest([str(path)])
    return Subject(manifest, bind_columns(data, manifest), data, run.model, run.document)


@pytest.fixture
def run(path: Path, train_here: Train) -> Run:
    return train_here(path, data={"features": ["a", "b", "kind"]}, outputs={"report": False})


def content(found: Diagnostics) -> dict[str, Any]:
    return {key: value for key, value in found.to_json().items() if key != "cost"}


def test_the_numbers_do_not_depend_on_the_number_of_threads(
    path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for cpus in (1, 2, 5):
        monkeypatch.setattr(limits, "available_cpus", lambda cpus=cpus: cpus)
        found.append(content(diagnose(subject_of(path, run), 10.0)))
    assert found[0] == found[1] == found[2]


def test_of_large_data_a_sample_of_row_groups_is_looked_at_and_said_so(
    path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_ROWS", 1000)
    monkeypatch.setattr(module, "_SMALL_VALUES", 0)
    monkeypatch.setattr(module, "_ONE_OF", 1)
    subject = subject_of(path, run)
    found = diagnose(subject, 1000.0)
    groups = sampled_order(subject.manifest)
    assert found.cost.row_groups < found.cost.of_row_groups == len(groups) == 8
    assert found.cost.rows == sum(group.num_rows for group in groups[: found.cost.row_groups]) <= 1000
    assert found.cost.stopped == "after 1,000 rows"
    assert content(diagnose(subject, 1000.0)) == content(found)


def test_the_pass_ends_when_it_has_taken_its_share_of_the_run(
    path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SMALL_VALUES", 0)
    monkeypatch.setattr(module, "_ONE_OF", 1)
    found = diagnose(subject_of(path, run), 0.0)
    assert found.cost.row_groups == 2
    assert found.cost.stopped == "after 8% of the run's time"


def test_a_row_group_that_is_too_large_is_thinned(
    path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_ROWS", 100)
    found = diagnose(subject_of(path, run), 10.0)
    assert found.cost.rows <= 110
    assert "one row of" in str(found.cost.stopped)


def test_a_run_states_what_its_diagnostics_cost(path: Path, train_here: Train) -> None:
    run = train_here(path, data={"features": ["a", "b", "kind"]})
    cost = run.result["diagnostics"]
    assert cost == stored(run).to_json()["cost"]
    assert cost["rows"] == run.result["rows"]["train"] == ROWS
    assert cost["row_groups"] == cost["of_row_groups"] == 8
    assert run.result["timing"]["diagnostics_s"] == cost["seconds"]
    text = (run.path / "report.html").read_text()
    assert "It read all 8 row groups" in text


def test_a_run_without_a_report_has_no_diagnostics(run: Run) -> None:
    assert run.result["diagnostics_reason"] == "outputs.report is false"
    assert not (run.path / "diagnostics.json").exists()


def test_a_fault_in_the_diagnostics_costs_them_and_not_the_run(
    path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("linreg_dist.run.ending.diagnostics.diagnose", broken)
    run = train_here(path, data={"features": ["a", "b", "kind"]})
    assert run.result["status"] == "succeeded"
    assert run.result["diagnostics_reason"] == "ZeroDivisionError: of ours"
    assert (run.path / "report.html").exists()


@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_missing_values_and_lists_are_looked_at_too(path: Path, train_here: Train, missing: str) -> None:
    rng = np.random.default_rng(0)
    data = {
        "a": [None if i % 7 == 0 else float(i % 5) for i in range(700)],
        "kind": [None if i % 11 == 0 else "uv"[i % 2] for i in range(700)],
        "vector": list(rng.normal(size=(700, 3)).tolist()),
        "y": rng.normal(size=700),
    }
    file = write_parquet(path.parent / "gaps" / "a.parquet", data)
    features = ["a", "kind", "vector"]
    run = train_here(file, data={"features": features, "missing": missing})
    found = stored(run)
    assert found.targets[0].rows == run.result["rows"]["train"]
    levels = [level.level for level in found.targets[0].by_level[0].levels]
    assert levels == (["u", "v", "(missing)"] if missing == "mean" else ["u", "v"])
    assert [feature.feature for feature in found.features][-1] == "vector[2]"
