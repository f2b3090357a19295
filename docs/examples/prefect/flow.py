"""A Prefect flow that trains on a month: no package code, the contract of the command line is enough."""

from __future__ import annotations

import sys

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from linreg_dist.integrations.command import run_command, train_command
from linreg_dist.integrations.outcome import JobEnd
from linreg_dist.integrations.progress import ProgressLines


class NotRetryableError(Exception):
    """The spec or the data is wrong: the same again would fail again."""


def may_be_retried(task: object, task_run: object, state: object) -> bool:
    """Tell Prefect whether a failed task is worth another try."""
    return not isinstance(state.result(raise_on_failure=False), NotRetryableError)  # type: ignore[attr-defined]


@task(retries=3, retry_delay_seconds=5, retry_condition_fn=may_be_retried)
def train(spec: str, month: int) -> dict[str, float]:
    """Add a month to the model; the same command after a failure goes on where it was."""
    log = get_run_logger()
    options = ["--if-changed", "update", "--add", f"month={month}"]
    end: JobEnd = run_command(
        train_command(spec, options=options), on_event=ProgressLines(log.info).event, on_text=log.info
    )
    if not end.succeeded:
        raise RuntimeError(end.message) if end.retryable else NotRetryableError(end.message)
    metrics: dict[str, float] = end.result.to_json()["metrics"]["train"]
    create_markdown_artifact(f"R² {metrics['r2']:.3f}, RMSE {metrics['rmse']:.3f}", key="flights")
    return {"r2": metrics["r2"], "rmse": metrics["rmse"]}


@flow
def nightly(spec: str, months: list[int]) -> list[dict[str, float]]:
    """Train on months, one after the other."""
    return [train(spec, month) for month in months]


if __name__ == "__main__":
    nightly(sys.argv[1], [int(month) for month in sys.argv[2:]])
