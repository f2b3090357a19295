"""What is retried and what is not: a lost worker is; data that does not fit, in mid-training too, is not."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from tests.light_workers import without_ray
from tests.parts import write_parts
from tests.processes import train_workers
from tests.promises.test_stuck_workers import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]


def spec_for(tmp_path: Path) -> dict[str, Any]:
    return {
        "name": "job",
        "data": {"path": str(tmp_path / "data"), "target": "y", "validation": {"method": "none"}},
        "solver": {"name": "sgd", "epochs": 800, "global_batch_size": 1500, "early_stop": None},
        "scaling": {"num_workers": 2},
        "run": {"storage_path": str(tmp_path / "runs"), "checkpoint_every_s": 0.5},
        "outputs": {"report": False},
    }


def once_it_trains(tmp_path: Path, act: Any) -> threading.Thread:
    def work() -> None:
        wait_for(lambda: list((tmp_path / "runs/job/checkpoints").glob("epoch*")))
        act()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_worker_that_is_killed_costs_a_restart_and_not_the_answer(tmp_path: Path) -> None:
    """In local SGD, where each worker has sums and moments of its own that must come back to it."""
    write_parts(tmp_path / "data", [3000, 3000])
    thread = once_it_trains(tmp_path, lambda: os.kill(train_workers()[0], signal.SIGKILL))
    local = {
        "solver.name": "adam",
        "solver.sync_every": 3,
        "solver.global_batch_size": 500,
        "solver.epochs": 120,
    }
    run = lr.train(spec_for(tmp_path), local)
    thread.join()
    assert run.result["worker_groups"] == [2, 2]
    assert run.result["stuck"] == []
    with without_ray():
        undisturbed = lr.train(spec_for(tmp_path), {"name": "undisturbed", **local})
    assert run.result["rows"] == undisturbed.result["rows"]
    np.testing.assert_array_equal(run.model.coef_, undisturbed.model.coef_)
    assert losses(run) == losses(undisturbed)


def losses(run: lr.Run) -> list[float]:
    assert isinstance(run.path, Path)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return [line["train_mse"] for line in lines if "train_mse" in line]


def test_data_that_changes_in_mid_training_is_not_tried_again_and_again(tmp_path: Path, caplog) -> None:
    """One worker alone comes upon it; the error keeps its name and exit code."""
    write_parts(tmp_path / "data", [3000, 3000])
    file = tmp_path / "data" / "part-1.parquet"
    table = pq.read_table(file)

    def change() -> None:
        changed = file.with_name("_changed")
        pq.write_table(table.slice(0, 2500), changed, row_group_size=250)
        changed.replace(file)

    thread = once_it_trains(tmp_path, change)
    nothing_kept = {"scaling.memory_budget": 0, "scaling.disk_budget": 0}
    with caplog.at_level(logging.INFO, "linreg_dist"), pytest.raises(lr.DataError) as raised:
        lr.train(spec_for(tmp_path), nothing_kept)
    thread.join()
    assert "part-1.parquet" in str(raised.value)
    assert raised.value.exit_code == 3
    assert caplog.text.count("a group of 2 workers") <= 2, "of max_failures 3"
