"""Our errors as Airflow's: those that a retry may mend, and those that it cannot."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from linreg_dist.errors import LinregDistError
from linreg_dist.integrations.outcome import FINAL, INTERRUPTED


def as_airflow(error: LinregDistError) -> AirflowException:
    """Return the exception that makes Airflow retry a task, or not.

    A wrong spec or call (2), data that do not fit (3) and a job that somebody stopped (130) fail for good;
    a failed run (1) and a cluster or storage that does not answer (4) are retried as the task says.
    """
    return _exception(" ".join(str(error).split()), is_final=error.exit_code in {*FINAL, INTERRUPTED})


def command_failed(message: str, *, retryable: bool) -> AirflowException:
    """Return the same for the end of a command."""
    return _exception(message, is_final=not retryable)


def _exception(message: str, *, is_final: bool) -> AirflowException:
    return AirflowFailException(message) if is_final else AirflowException(message)
