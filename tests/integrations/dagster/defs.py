"""What the tests let a real Dagster load; the folder and the cluster come from the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dagster as dg

from linreg_dist.integrations.dagster import linreg_asset

FOLDER = Path(os.environ["LRD_FOLDER"])
SOON = dg.RetryPolicy(max_retries=60, delay=3)
RUN: dict[str, Any] = {
    "run": {"storage_path": str(FOLDER / "runs"), "checkpoint_every_s": 1},
    "outputs": {"report": False},
}
ROWS: dict[str, Any] = {"path": str(FOLDER / "rows.parquet"), "target": "y"}
SLOW: dict[str, Any] = {
    "name": "sgd",
    "learning_rate": 1e-9,
    "early_stop": None,
    "epochs": 100_000_000,
}
FLIGHTS = {
    "path": str(FOLDER / "flights"),
    "target": "arr_delay",
    "features": ["dep_delay", "distance", "carrier", "origin"],
    "missing": "drop",
}

flights = linreg_asset(
    {"name": "flights", "data": FLIGHTS, **RUN},
    partitions_def=dg.StaticPartitionsDefinition(["1", "2", "3", "4"]),
    partition_path="month={partition_key}",
    retry_policy=SOON,
)
workers = linreg_asset(
    {
        "name": "workers",
        "data": ROWS,
        "solver": {**SLOW, "epochs": 10_000, "global_batch_size": 400},
        "scaling": {"num_workers": 1},
        **RUN,
    },
    address=os.environ.get("LRD_HEAD", "http://127.0.0.1:1"),
)
endless = linreg_asset(
    {"name": "endless", "data": ROWS, "solver": SLOW, **RUN},
    address=os.environ.get("LRD_HEAD", "http://127.0.0.1:1"),
    retry_policy=SOON,
)
defs = dg.Definitions(
    assets=[flights, workers, endless],
    jobs=[
        dg.define_asset_job(f"{asset.key.to_python_identifier()}_job", [asset])
        for asset in (flights, workers, endless)
    ],
)
