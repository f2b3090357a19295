"""The DAGs of the tests: nightly jobs on the flights, by month. Paths come from the environment."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from linreg_dist.integrations.airflow import (
    LinregEvaluateOperator,
    LinregPredictOperator,
    LinregTrainOperator,
)

DATA = os.environ["FLIGHTS_DATA"]
RUNS = os.environ["FLIGHTS_RUNS"]
NIGHTS = os.environ["FLIGHTS_NIGHTS"]  # months of their own, of which the fourth is damaged
CONN_ID = "linreg_ray"

FLIGHTS: dict[str, Any] = {
    "name": "flights",
    "data": {
        "path": DATA,
        "target": "{{ params.target }}",
        "features": ["dep_delay", "distance", "hour", "carrier"],
        "filter": [["month", "==", "{{ params.month }}"]],
        "missing": "drop",
    },
    "outputs": {"report": False},
    "run": {"storage_path": RUNS},
}
LONG: dict[str, Any] = {
    **FLIGHTS,
    "solver": {
        "name": "sgd",
        "epochs": "{{ params.epochs }}",
        "learning_rate": 1.0e-4,
        "global_batch_size": "{{ params.batch }}",
        "early_stop": None,
    },
    "scaling": {"num_workers": "{{ params.workers }}"},
    "run": {"storage_path": RUNS, "checkpoint_every_s": 1, "max_failures": 3},
}
PARAMS = {
    "target": Param("arr_delay", type="string"),
    "month": Param(1, type="integer"),
    "epochs": Param(100_000, type="integer"),
    "workers": Param(0, type="integer"),
    "batch": Param(64, type="integer"),
    "conn_id": Param(CONN_ID, type="string"),
}
RETRY: dict[str, Any] = {
    "retries": 6,
    "retry_delay": timedelta(seconds=5),
    "poll_interval_s": 1.0,
    "patience_s": 5.0,
}

with DAG("months", schedule=None, params=PARAMS) as months:
    train = LinregTrainOperator.partial(
        task_id="train", conn_id=CONN_ID, spec={**FLIGHTS, "outputs": {"report": True}}, **RETRY
    ).expand(
        overrides=[
            {"name": f"flights-2013-{month:02d}", "data.filter": [["month", "==", month]]}
            for month in (1, 2, 3)
        ]
    )
    model = "{{ ti.xcom_pull(task_ids='train', map_indexes=0)['model'] }}"
    evaluate = LinregEvaluateOperator(
        task_id="evaluate", conn_id=CONN_ID, model=model, data=f"{DATA}/month=4", **RETRY
    )
    predict = LinregPredictOperator(
        task_id="predict",
        conn_id=CONN_ID,
        model=model,
        data=f"{DATA}/month=4",
        output_path=f"{RUNS}/scores-{{{{ run_id }}}}",
        keep=["flight"],
        **RETRY,
    )
    train >> [evaluate, predict]

with DAG("one", schedule=None, params=PARAMS) as one:
    LinregTrainOperator(
        task_id="train", conn_id=CONN_ID, spec=LONG, run_name="{{ dag.dag_id }}-{{ run_id }}", **RETRY
    )

with DAG("nightly", schedule=None) as nightly:
    LinregTrainOperator.partial(
        task_id="train",
        conn_id=CONN_ID,
        spec={**FLIGHTS, "data": {**FLIGHTS["data"], "path": NIGHTS, "target": "arr_delay", "filter": []}},
        run_name="nightly",
        max_active_tis_per_dagrun=1,  # they add to one model, so one after the other
        **RETRY,
    ).expand(add=[[f"month={month}"] for month in (1, 2, 3, 4)])

with DAG("protected", schedule=None, params=PARAMS) as protected:
    LinregTrainOperator(
        task_id="train",
        conn_id="{{ params.conn_id }}",
        spec=FLIGHTS,
        run_name="{{ dag.dag_id }}-{{ run_id }}",
        **RETRY,
    )

with DAG("here", schedule=None, params=PARAMS) as here:
    LinregTrainOperator(task_id="train", spec=LONG, run_name="{{ dag.dag_id }}-{{ run_id }}", **RETRY)

with DAG("waits", schedule=None, params=PARAMS) as waits:
    LinregTrainOperator(
        task_id="train",
        conn_id=CONN_ID,
        spec=LONG,
        run_name="{{ dag.dag_id }}-{{ run_id }}",
        deferrable=False,
        **RETRY,
    )

with DAG("limited", schedule=None, params=PARAMS) as limited:
    LinregTrainOperator(
        task_id="train",
        conn_id=CONN_ID,
        spec=LONG,
        run_name="{{ dag.dag_id }}-{{ run_id }}",
        **{**RETRY, "retries": 0},
        execution_timeout=timedelta(seconds=20),
    )
