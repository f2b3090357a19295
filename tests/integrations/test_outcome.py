"""What the end of a command means to whoever started it."""

from __future__ import annotations

import json

import pytest

from linreg_dist.errors import (
    ClusterError,
    DataError,
    InterruptedRunError,
    RunFailedError,
    RunInUseError,
    SpecError,
    StorageError,
    to_record,
)
from linreg_dist.integrations.outcome import FINAL, MEANING, RETRYABLE, JobEnd, end_of


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (RunFailedError("worker 1: killed"), True),
        (ClusterError("the Ray cluster was lost"), True),
        (StorageError("the bucket does not answer"), True),
        (RunInUseError("in use by process 4711"), True),
        (SpecError("job.yaml:3:1: unknown key"), False),
        (DataError("no column y"), False),
        (InterruptedRunError("stopped by an interrupt"), False),
    ],
)
def test_an_error_comes_back_as_the_class_it_was_and_says_whether_to_retry(
    error: RunFailedError, retryable: bool
) -> None:
    printed = json.loads(json.dumps({"status": "failed", "error": to_record(error)}))
    end = JobEnd(error.exit_code, printed, "Error: something else")
    assert end.retryable is retryable
    assert type(end.error) is type(error)
    assert str(end.error) == end.message == str(error)
    assert end.in_use is isinstance(error, RunInUseError)
    with pytest.raises(type(error)):
        _ = end.result
    assert error.exit_code in MEANING


def test_no_exit_code_is_both_final_and_retryable() -> None:
    assert not RETRYABLE & FINAL
    assert {0, 130} | RETRYABLE | FINAL == set(MEANING)


def test_a_message_of_several_lines_becomes_one() -> None:
    end = JobEnd(2, {"error": {"type": "SpecError", "message": "a.yaml:1:1: one\n  a.yaml:2:1: two"}})
    assert end.message == "a.yaml:1:1: one a.yaml:2:1: two"


def test_a_process_that_a_signal_killed_may_be_retried_and_is_named() -> None:
    end = end_of(-9, None)
    assert (end.exit_code, end.retryable) == (137, True)
    assert end.message == "the process was killed by SIGKILL"
    assert end_of(1, None, "Error: no room").message == "no room"
    assert end_of(1, None).message == "the run failed"
    assert end_of(77, None).message == "the process ended with exit code 77"
    assert end_of(130, None).retryable is False


def test_success_needs_a_result() -> None:
    assert JobEnd(0, {"status": "succeeded", "name": "flights"}).result.name == "flights"
    assert JobEnd(0, {}).message == ""
    with pytest.raises(RunFailedError, match="printed no result"):
        _ = JobEnd(0).result
