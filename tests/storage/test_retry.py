"""What is tried again, for how long, and what is said when it is given up."""

from __future__ import annotations

import logging
import threading

import pytest

from linreg_dist.errors import SpecError, StorageError
from linreg_dist.jobspec import split_query
from linreg_dist.storage import Background, final_patience, no_patience, retried
from linreg_dist.storage import retry as module
from linreg_dist.storage.retry import is_transient, patience_s

SLOW = "When reading key 'k' in bucket 'b': AWS Error SLOW_DOWN during GetObject operation (Request ID: X1)"


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.delenv(module.VARIABLE, raising=False)
    return clock


class Failing:
    """Raises an error a number of times."""

    def __init__(self, times: int, message: str = SLOW) -> None:
        self.times, self.message, self.calls = times, message, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise OSError(self.message)
        return "done"


def test_a_passing_failure_is_tried_again_with_growing_waits(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    assert retried(Failing(5), "read", "s3://b/k") == "done"
    assert len(clock.waits) == 5
    assert all(0.25 * 2**n <= wait <= 0.5 * 2**n for n, wait in enumerate(clock.waits))
    assert len(caplog.records) == 1
    assert "cannot read s3://b/k" in caplog.text
    assert "trying for 60 s" in caplog.text


def test_it_is_given_up_within_the_patience(clock: Clock) -> None:
    failing = Failing(1000)
    with pytest.raises(StorageError) as caught:
        retried(failing, "read", "s3://b/k/x?region=eu")
    assert clock.now <= 60.0
    assert max(clock.waits) <= 8.0
    message = str(caught.value)
    assert "gave up trying to read s3://b/k/x?region=eu (bucket 'b', key 'k/x')" in message
    assert f"after {failing.calls} attempt(s)" in message
    assert "SLOW_DOWN" in message
    assert "Request ID" not in message
    assert "run the same command again" in message
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("error", [FileNotFoundError("no such"), OSError("AWS Error ACCESS_DENIED during x")])
def test_what_does_not_pass_is_raised_at_once(clock: Clock, error: OSError) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(OSError) as caught:  # noqa: PT011 (the very object is compared)
        retried(fail, "read", "s3://b/k")
    assert caught.value is error
    assert clock.waits == []


def test_patience_is_set_by_the_environment_and_by_what_is_at_stake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(module.VARIABLE, raising=False)
    assert patience_s() == 60.0
    monkeypatch.setenv(module.VARIABLE, "7.5")
    assert patience_s() == 7.5
    with final_patience():
        assert patience_s() == 37.5
        with no_patience():
            assert patience_s() == 0.0
    assert patience_s() == 7.5
    monkeypatch.setenv(module.VARIABLE, "long")
    with pytest.raises(SpecError, match="LINREG_DIST_STORAGE_RETRY_S is 'long'; expected a number"):
        patience_s()


def test_no_patience_is_one_attempt(clock: Clock) -> None:
    failing = Failing(1)
    with no_patience(), pytest.raises(StorageError):
        retried(failing, "write", "s3://b/k")
    assert (failing.calls, clock.waits) == (1, [])


@pytest.mark.parametrize(
    ("message", "passes"),
    [
        (SLOW, True),
        ("AWS Error UNKNOWN (HTTP status 503) during HeadObject operation: No response body", True),
        ("AWS Error UNKNOWN (HTTP status 429) during GetObject operation", True),
        ("AWS Error NETWORK_CONNECTION during PutObject operation: curlCode: 56, Recv failure", True),
        ("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 60, SSL certificate", False),
        ("AWS Error INTERNAL_FAILURE during PutObject operation", True),
        ("AWS Error ACCESS_DENIED during HeadObject operation: No response body", False),
        ("AWS Error NO_SUCH_BUCKET during PutObject operation", False),
        ("AWS Error UNKNOWN (HTTP status 411) during UploadPart operation", False),
        ("AWS Error SIGNATURE_DOES_NOT_MATCH during ListObjectsV2 operation", False),
        ("[Errno 28] No space left on device", False),
    ],
)
def test_which_failures_pass(message: str, passes: bool) -> None:
    assert is_transient(OSError(message)) is passes


def test_a_background_job_fails_with_a_warning_only(caplog: pytest.LogCaptureFixture) -> None:
    background = Background("a checkpoint")

    def fail() -> None:
        retried(Failing(1), "write", "s3://b/k")

    assert background.start(fail)
    background.close()
    assert not background.is_busy
    (record,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert record.getMessage().startswith("a checkpoint was not written, the job goes on: When reading key")


def test_a_background_does_one_job_at_a_time() -> None:
    gate, done = threading.Event(), []
    background = Background("x")

    def wait() -> None:
        gate.wait(30)
        done.append(1)

    assert background.start(wait)
    assert background.is_busy
    assert not background.start(lambda: done.append(2))
    gate.set()
    background.close()
    assert done == [1]


def test_a_query_begins_with_an_option() -> None:
    assert split_query("s3://b/part-?.parquet") == ("s3://b/part-?.parquet", "")
    assert split_query("s3://b/part-?.parquet?region=eu") == ("s3://b/part-?.parquet", "?region=eu")
