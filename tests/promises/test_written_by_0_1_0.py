"""Runs of 0.1.0 are continued, merged, updated and loaded: no version loses a run of an earlier one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from linreg_dist.data.block import Block
from linreg_dist.data.rows import RowSelection
from linreg_dist.data.store import BlockStore
from linreg_dist.data.summary import BlockSummary
from linreg_dist.model.describe import describe
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.verbs.score import evaluate
from linreg_dist.verbs.stats import merge_statistics, solve_statistics, subtract_statistics
from linreg_dist.verbs.train import train
from tests.written_by_0_1_0.make import HERE, spec_of

ROW_GROUPS = 6


@pytest.fixture(autouse=True)
def _beside_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("data", "more", "finished", "runs"):
        shutil.copytree(HERE / folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)


def _decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by each row group that is decoded."""
    seen: list[int] = []
    build = BlockStore.build

    def counted(store: BlockStore, index: int):
        seen.append(index)
        return build(store, index)

    monkeypatch.setattr(BlockStore, "build", counted)
    return seen


def _weights(model: LinearModel) -> np.ndarray:
    return np.append(model.coef_, model.intercept_)


@pytest.mark.parametrize("job", ["sgd", "adam_huber", "lbfgs_huber"])
def test_a_fit_goes_on_from_its_checkpoint(job: str) -> None:
    whole = np.load(f"runs/{job}/coefficients.npy")
    (checkpoint,) = Path("runs", job, "checkpoints").glob("epoch*")
    at = json.loads((checkpoint / "progress.json").read_text())
    # As if the finished epochs had been lucky ones: a continued run repeats their lines and not their work.
    at["history"][0]["train_mse"] = 12345.0
    (checkpoint / "progress.json").write_text(json.dumps(at))
    run = train(spec_of(job))
    # 0.1.0 summed means and spreads of float32 columns in float32: the unit scale has moved by its digits.
    np.testing.assert_allclose(_weights(run.model), whole, rtol=1e-6, atol=1e-12)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if "epoch" in line]
    assert epochs[0]["train_mse"] == 12345.0
    assert [line["epoch"] for line in epochs] == list(range(run.result["solver"]["epochs"]))


@pytest.mark.parametrize("job", ["exact", "tune"])
def test_a_pass_goes_on_from_the_sums_of_its_lanes(job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.load(f"runs/{job}/coefficients.npy")
    seen = _decoded(monkeypatch)
    run = train(spec_of(job))
    np.testing.assert_allclose(_weights(run.model), whole, rtol=1e-9, atol=1e-12)
    assert 0 < len(seen) < ROW_GROUPS
    assert run.result["rows"]["train"] + run.result["rows"]["validation"] == 360


def test_what_was_read_before_the_first_step_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    summarised = []
    summarise = BlockSummary.of

    def counted(block: Block, selection: RowSelection, group: int, num_rows: int) -> BlockSummary:
        summarised.append(group)
        return summarise(block, selection, group, num_rows)

    monkeypatch.setattr(BlockSummary, "of", counted)
    run = train(spec_of("first_pass"))
    assert 0 < len(summarised) < ROW_GROUPS
    assert run.result["rows"]["train"] + run.result["rows"]["validation"] == 360
    np.testing.assert_allclose(_weights(run.model), np.load("runs/first_pass/coefficients.npy"), rtol=1e-9)


def test_statistics_are_merged_subtracted_and_solved() -> None:
    left, right = (Path("finished", name, "statistics.safetensors") for name in ("exact_data", "exact_more"))
    merge_statistics([left, right], "both.safetensors")
    subtract_statistics("both.safetensors", right, "left.safetensors")
    was = LinearModel.load("finished/exact_data/model")
    np.testing.assert_allclose(_weights(solve_statistics(left)), _weights(was), rtol=1e-12)
    np.testing.assert_allclose(_weights(solve_statistics("left.safetensors")), _weights(was), rtol=1e-9)
    shutil.copy("more/more.parquet", "data")
    both = train(spec_of("exact") | {"name": "both"})
    np.testing.assert_allclose(
        _weights(solve_statistics("both.safetensors")), _weights(both.model), rtol=1e-9
    )


@pytest.mark.parametrize("in_place", [True, False])
def test_a_finished_run_is_updated(in_place: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree("runs/exact")
    shutil.copytree("finished/exact_data", "runs/exact")
    shutil.copy("more/more.parquet", "data")
    seen = _decoded(monkeypatch)
    spec = spec_of("exact") | ({} if in_place else {"name": "again"})
    updated = train(spec, update="runs/exact")
    assert len(seen) == 2
    assert updated.result["rows"]["train"] + updated.result["rows"]["validation"] == 480
    assert (updated.path / "history").exists() == in_place
    whole = train(spec_of("exact") | {"name": "whole"})
    np.testing.assert_allclose(_weights(updated.model), _weights(whole.model), rtol=1e-9)


@pytest.mark.parametrize("name", ["exact_data", "sgd_data", "lbfgs_huber_data"])
def test_a_finished_run_is_reported_loaded_shown_and_measured(name: str) -> None:
    job = name.removesuffix("_data")
    shutil.rmtree(f"runs/{job}")
    shutil.copytree(f"finished/{name}", f"runs/{job}")
    run = train(spec_of(job))
    assert run.already_finished
    shown = describe(run.model).to_json()
    assert [row["feature"] for row in shown["coefficients"]] == ["x0", "x1", "colour=green", "colour=red"]
    has_tests = shown["inference_reason"] is None
    assert has_tests == (job == "exact")
    measured = evaluate(run.model, "data").metrics.to_json()
    assert measured["rmse"] == pytest.approx(run.metrics["train"]["rmse"], rel=0.1)
