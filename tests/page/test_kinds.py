"""The page of every kind of job says what result.json and the model say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linreg_dist.model.describe import describe
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.run.finished_run import Run
from linreg_dist.wording.numbers import format_count, format_number, format_p_value
from linreg_dist.wording.results import METRICS
from tests.page.document import Document
from tests.parquet import linear_columns, write_parquet

Train = Callable[..., Run]
HASH = {"validation": {"method": "hash"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two numbers, a column of levels, and gaps."""
    columns: dict[str, Any] = linear_columns(600, 2)
    levels = np.array(["red", "green", "blue"])[np.arange(600) % 3]
    columns["y"] = columns["y"] + 0.5 * (levels == "red")
    columns["x1"] = [None if i % 50 == 7 else value for i, value in enumerate(columns["x1"].tolist())]
    return write_parquet(tmp_path / "d" / "a.parquet", {**columns, "colour": levels}, row_group_size=150)


def check_page(run: Run) -> Document:
    """Check what every page has, and return it."""
    page, result = Document.of(run.path), run.result
    assert result["report"] == str(run.path / "report.html")
    assert "report_reason" not in result
    assert json.loads((run.path / "result.json").read_text()) == result
    assert page.headings[0] == result["name"]
    assert page.texts["title"][0] == f"{result['name']} – linear regression"
    assert page.headings[-3:] == ["Time", "Where it comes from", "The job"]
    rows = page.table("What became of every row").rows
    assert rows["training"][0] == format_count(result["rows"]["train"])
    assert rows["validation (held out)"][0] == format_count(result["rows"]["validation"])
    assert rows["left out for missing values"][0] == format_count(result["rows"]["dropped"]["missing"])
    for heading in (cell for table in page.tables for row in table.cells for cell in row if cell[0] == "th"):
        assert heading[1]["scope"] in ("row", "col")
    assert all(table.caption for table in page.tables)
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes["aria-hidden"] == "true"
        if attributes.get("role") in ("img", "region"):
            assert attributes["aria-label"]
    origin = page.table("Data, run and versions").rows
    assert origin["fingerprint"] == [run.model.details.data.digest]
    assert origin["versions"] == [", ".join(f"{k} {v}" for k, v in result["versions"].items())]
    assert "started_at" in result
    assert result["started_at"].replace("T", " ").removesuffix("Z") + " UTC" in page.sentences
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    return page


def check_coefficients(page: Document, model: LinearModel, target: str | None = None) -> None:
    document = describe(model).to_json()
    document = next(d for d in document.get("targets", [document]) if target in (None, d["target"]))
    tables = [table for table in page.tables if table.caption == "Coefficients"]
    table = tables[0 if target is None else model.targets.index(target)]
    rows = [{"feature": "(intercept)", "coef": document["intercept"], **document["intercept_inference"]}]
    rows += document["coefficients"]
    assert list(table.rows) == [row["feature"] for row in rows], "in the order of show"
    for row in rows:
        cells = dict(zip(table.headings[1:], table.rows[row["feature"]], strict=True))
        assert cells["coef"] == format_number(row["coef"])
        if row["p"] is not None:
            assert cells["p"] == format_p_value(row["p"])
            assert cells["CI low"] == format_number(row["ci_low"], 4)
            assert cells["std err"] == format_number(row["std_err"], 4)


def test_an_exact_fit(path: Path, train_here: Train) -> None:
    run = train_here(path, data={**HASH, "missing": "drop"})
    page = check_page(run)
    check_coefficients(page, run.model)
    quality = page.table("Quality of the fit for y")
    assert quality.headings == ["", "training rows", "validation rows"]
    for key, name in METRICS.items():
        shown = [format_number(run.metrics[split][key]) for split in ("train", "validation")]
        assert quality.rows[name] == shown
    assert page.table("Missing values by column").rows == {"x1": ["12"]}
    fit = describe(run.model).to_json()["fit"]
    shown = page.table("Fit statistics").rows
    assert shown["sigma"][0] == format_number(fit["sigma"])
    assert shown["F"] == [
        format_number(fit["f"]),
        f"tests whether all coefficients but the intercept are zero; p {format_p_value(fit['f_p'])}",
    ]
    assert "colour with blue" in page.sentences
    caption = page.texts["figcaption"][0]
    assert caption.startswith(
        "All effects that are not zero: the change of y, in its units, when the feature"
    )
    assert "changes by one standard deviation" in caption
    label, *_ = [attributes["aria-label"] for _, attributes in page.tags if attributes.get("role") == "img"]
    effects = run.model.coef_ * np.array(run.model.details.scaling.x_std)
    largest = run.model.encoding.names[int(np.argmax(np.abs(effects)))]
    assert label is not None
    assert f"the largest first: {largest} {format_number(float(np.max(np.abs(effects))), 4)} (" in label
    assert "Training" not in page.headings


def test_the_spec_on_the_page_is_the_one_that_ran(path: Path, train_here: Train) -> None:
    page = check_page(train_here(path, data={"missing": "mean"}, model={"l2": 0.25}))
    (job,) = page.texts["pre"]
    assert "\n  l2: 0.25\n" in job
    assert "cluster:\n  address" not in job
    assert "replaced by the mean of the training rows" in page.sentences


def test_levels_alone_are_compared_in_the_units_of_the_target(path: Path, train_here: Train) -> None:
    page = check_page(train_here(path, data={"features": ["colour"]}))
    caption = page.texts["figcaption"][0]
    assert "changes from the base level to this one" in caption
    assert "standard deviation" not in caption
    assert "No rows were held out" in page.sentences


@pytest.mark.parametrize("solver", [{"name": "adam", "epochs": 7, "early_stop": None}, {"name": "lbfgs"}])
def test_an_iterative_fit_shows_its_loss_and_says_why_it_has_no_tests(
    path: Path, train_here: Train, solver: dict[str, Any]
) -> None:
    run = train_here(path, data={**HASH, "missing": "drop"}, solver=solver)
    page = check_page(run)
    check_coefficients(page, run.model)
    assert f"No standard errors, t, p or confidence intervals: the {solver['name']} solver" in page.sentences
    assert run.result["solver"]["stopped"] in page.sentences
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if "epoch" in line]
    labels = [
        attributes["aria-label"] or "" for _, attributes in page.tags if attributes.get("role") == "img"
    ]
    first, last = (format_number(epochs[i]["train_mse"], 4) for i in (0, -1))
    told = f"Loss over {len(epochs)} epochs: training from {first} to {last}; validation from"
    losses = [label for label in labels if label.startswith("Loss over")]
    assert len(losses) == (len(epochs) > 1), "a point is no curve"
    assert all(label.startswith(told) for label in losses)
    assert page.table("Settings").rows["epochs"] == [format_count(run.result["solver"]["epochs"])]


def test_a_penalised_fit_says_why_it_has_no_tests(path: Path, train_here: Train) -> None:
    run = train_here(path, data={"missing": "drop"}, model={"l1": 0.3})
    page = check_page(run)
    check_coefficients(page, run.model)
    assert "the coefficients are penalised (l1 0.3, l2 0)" in page.sentences
    assert "Penalty: l1 0.3, l2 0." in page.sentences
    zeros = int((run.model.coef_ == 0).sum())
    assert zeros > 0
    assert f"{zeros} of {run.model.encoding.num_encoded} coefficients are exactly zero" in page.sentences


@pytest.mark.parametrize(
    "tune",
    [
        {"l2": [0.001, 0.01, 0.1, 1], "l1_ratio": [0, 0.5], "folds": 3},
        {"l2": [0, 0.1, 1], "folds": 3},
        {"l2": [0.1], "folds": 3},
    ],
)
def test_a_tuned_fit_shows_the_curve_and_the_choice(
    path: Path, train_here: Train, tune: dict[str, Any]
) -> None:
    run = train_here(path, data={"missing": "drop"}, tune=tune)
    page = check_page(run)
    found = run.result["tune"]
    chosen, best = found["points"][found["one_std_err"]], found["points"][found["best"]]
    rows = page.table("The penalty with the least error").rows
    assert rows["chosen"][:2] == [f"{chosen['l1']:g}", f"{chosen['l2']:g}"]
    assert rows["the least error"][2] == format_number(best["mse"])
    labels = [
        attributes["aria-label"] or "" for _, attributes in page.tags if attributes.get("role") == "img"
    ]
    curves = [label for label in labels if label.startswith("Cross-validation curve")]
    if len(tune["l2"]) == 1:
        assert not curves, "one penalty is no curve"
    else:
        assert f"chosen was {chosen['l1'] + chosen['l2']:g} with" in curves[0]


def test_several_targets(tmp_path: Path, train_here: Train) -> None:
    columns = linear_columns(300, 2)
    columns["z"] = -columns["y"] + columns["x0"]
    path = write_parquet(tmp_path / "d" / "a.parquet", columns)
    run = train_here(path, data={**HASH, "target": ["y", "z"]})
    page = check_page(run)
    for target in ("y", "z"):
        assert f"Coefficients for {target}" in page.headings
        check_coefficients(page, run.model, target)
    for split, where in (("train", "training"), ("validation", "validation")):
        table = page.table(f"Quality of the fit on the {where} rows")
        for target in ("y", "z"):
            found = run.metrics[split]["per_target"][target]
            assert table.rows[target] == [format_number(found[key]) for key in METRICS]
        assert table.rows["mean of all"][0] == format_number(run.metrics[split]["mse"])


def test_what_is_wrong_with_the_columns_stands_at_the_top(tmp_path: Path, train_here: Train) -> None:
    columns = linear_columns(300, 2)
    columns["twice"] = 2 * columns["x0"]
    columns["same"] = np.ones(300)
    path = write_parquet(tmp_path / "d" / "a.parquet", columns)
    run = train_here(path)
    page = check_page(run)
    assert page.headings[1] == "Worth knowing"
    solver = run.result["solver"]
    assert solver["collinear_columns"]
    ((name, others),) = solver["collinear_columns"].items()
    notes = " ".join(page.texts["li"])
    assert f"{name} (with {', '.join(others)})" in notes
    assert (
        f"constant on the training rows and explain nothing: {', '.join(solver['constant_columns'])}" in notes
    )


def test_huber_loss(path: Path, train_here: Train) -> None:
    run = train_here(path, data={"missing": "drop"}, model={"loss": "huber"})
    page = check_page(run)
    (scale,) = run.result["solver"]["huber_scale"]
    assert f"with a residual scale of {scale:.4g}" in page.sentences
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "epoch" in line]
    assert len(losses) > 1
    assert losses == pytest.approx(sorted(losses, reverse=True), rel=0.05), "what is minimised falls"
    labels = [
        attributes["aria-label"] or "" for _, attributes in page.tags if attributes.get("role") == "img"
    ]
    told = f"Objective over {len(losses)} epochs: training from {format_number(losses[0], 4)} to"
    assert any(label.startswith(told) for label in labels)
    (caption,) = [text for text in page.texts["figcaption"] if text.startswith("Mean squared error of every")]
    assert "Huber's loss does not make it small" in caption


def test_no_mae_is_explained(path: Path, train_here: Train) -> None:
    run = train_here(path, data={"missing": "drop"}, scaling={"memory_budget": 0, "disk_budget": 0})
    page = check_page(run)
    reason = run.metrics["train"].get("mae_reason")
    if reason is None:
        pytest.skip("the rows were at hand")
    assert f"No MAE: {reason}." in page.sentences


def test_a_wide_model_is_cut_to_what_can_be_read(tmp_path: Path, train_here: Train) -> None:
    rng = np.random.default_rng(0)
    x_ND = rng.normal(size=(2000, 1100))
    columns = {f"x{i}": x_ND[:, i] for i in range(1100)}
    columns["y"] = x_ND @ rng.normal(size=1100) + rng.normal(size=2000)
    run = train_here(write_parquet(tmp_path / "d" / "a.parquet", columns))
    page = check_page(run)
    table = page.table("Coefficients, the largest |t| first")
    assert len(table.rows) == 101
    t = [abs(float(cells[2])) for cells in list(table.rows.values())[1:]]
    assert t == sorted(t, reverse=True)
    every = sorted((abs(row.t) for row in describe(run.model).coefficients), reverse=True)
    assert t == [float(f"{value:.2f}") for value in every[:100]]
    assert f"1,000 more coefficients are left out here: linreg-dist show {run.path} prints" in page.sentences
    assert len(page.html) < 350_000


def test_many_targets_share_the_room(tmp_path: Path, train_here: Train) -> None:
    columns = linear_columns(300, 30)
    targets = [f"t{i}" for i in range(60)]
    columns |= {name: columns["y"] + i for i, name in enumerate(targets)}
    path = write_parquet(tmp_path / "d" / "a.parquet", columns)
    run = train_here(path, data={"target": targets, "features": [f"x{i}" for i in range(30)]})
    page = check_page(run)
    tables = [table for table in page.tables if table.caption.startswith("Coefficients")]
    assert [len(table.rows) for table in tables] == [11] * 10
    assert "The coefficients of 50 targets more: linreg-dist show" in page.sentences
    assert "10 targets more are in result.json" in page.sentences
    assert len(page.html) < 600_000


def test_the_time_of_each_worker_is_shown(path: Path, train_here: Train, light_workers: None) -> None:
    run = train_here(path, scaling={"num_workers": 2}, data={"missing": "drop"})
    workers = run.result["workers"]
    assert [worker["rank"] for worker in workers] == [0, 1]
    assert sum(worker["bytes_read"] for worker in workers) == run.result["data"]["bytes_read"]
    assert sum(worker["row_groups"] for worker in workers) == run.result["data"]["row_groups"]
    for worker in workers:
        assert 0 <= worker["waiting_s"] <= worker["seconds"] <= run.result["timing"]["total_s"]
    rows = Document.of(run.path).table("Time of each worker").rows
    assert list(rows) == ["0", "1"]
    assert rows["1"][2] == f"{workers[1]['seconds']:.2f}"
