"""Event files, read back by TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import linreg_dist as lr
from linreg_dist.run.ours import clear
from tests.parquet import linear_columns, write_parquet


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return found


@pytest.mark.slow  # TensorBoard's reader loads much
def test_tensorboard_reads_each_epoch_and_the_end(tmp_path: Path) -> None:
    write_parquet(tmp_path / "data" / "a.parquet", linear_columns(300, 2))
    run = lr.train(
        {
            "name": "job",
            "data": {"path": str(tmp_path / "data"), "target": "y"},
            "solver": {"name": "sgd", "epochs": 3, "early_stop": None},
            "run": {"storage_path": str(tmp_path / "runs")},
            "outputs": {"report": False},
            "tracking": {"tensorboard": True},
        }
    )
    found = read(run.path / "tensorboard")
    assert {"train_mse", "validation_mse", "validation_r2", "train_rmse"} <= set(found.Tags()["scalars"])
    losses = found.Scalars("train_mse")
    assert [point.step for point in losses] == [0, 1, 2, 3]
    assert losses[-1].value == pytest.approx(run.metrics["train"]["mse"], rel=1e-6)
    texts = [found.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in found.Tags()["tensors"]]
    assert any("learning_rate: auto" in text for text in texts)
    assert any(run.result["data"]["digest"] in text for text in texts)
    clear(run.path)  # which knows them for the run's
    assert not (run.path / "tensorboard").exists()
