"""A store that fails for a while changes no number and loses nothing; one that stays away is named."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linreg_dist as lr
from linreg_dist.cli.main import run as run_cli
from linreg_dist.data.block import BlockBuilder
from linreg_dist.solvers.epochs import EpochEnd, Position
from linreg_dist.solvers.gradient.descent import MiniBatches
from linreg_dist.storage import ObjectPath
from tests.parts import write_parts
from tests.storage.conftest import Store
from tests.storage.s3_proxy import Fault, S3Proxy
from tests.storage.test_runs import SGD, spec_of


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parts") / "data"
    write_parts(folder, [1700, 333, 900])
    return folder


@pytest.fixture
def data(parts: Path, store: Store) -> str:
    return store.upload(parts, "data")


@pytest.fixture
def impatient(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINREG_DIST_STORAGE_RETRY_S", "1")


@contextmanager
def faults(proxy: S3Proxy, *wanted: Fault) -> Iterator[None]:
    with ExitStack() as stack:
        for fault in wanted:
            stack.enter_context(proxy.fault(fault))
        yield


pytestmark = pytest.mark.slow

PASSING = {
    "errors": [Fault(status=500, every=7, times=6)],
    "throttling": [Fault(status=503, code="SlowDown", every=6, times=6)],
    "slow bodies": [Fault("GET /lab/data/", bytes_per_s=100_000)],
    "connections that break in a body": [Fault("GET /lab/data/.*parquet", reset_after=2000, times=4)],
    "connections that break": [Fault(reset_after=-1, every=6)],
    "a store that is down for seconds": [Fault("GET", status=503, code="ServiceUnavailable", times=12)],
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_changes_no_number(
    tmp_path: Path, parts: Path, store: Store, data: str, name: str
) -> None:
    local = lr.train(spec_of(parts, tmp_path / "runs", solver=SGD))
    with faults(store.proxy, *PASSING[name]):
        run = lr.train(spec_of(data, f"{store.uri}/runs", solver=SGD))
    assert all(fault.hits for fault in PASSING[name])
    np.testing.assert_array_equal(run.model.coef_, local.model.coef_)
    assert run.result["rows"] == local.result["rows"]
    assert json.loads(store.read("runs/job/result.json"))["status"] == "succeeded"


def test_an_outage_while_training_stops_nothing(
    tmp_path: Path,
    parts: Path,
    store: Store,
    data: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The store is gone from the second epoch to the last; data is in memory by then."""
    end, outage = MiniBatches.end_epoch, ExitStack()

    def end_epoch(self: MiniBatches, at: Position, first_step: int) -> EpochEnd:
        if at.epoch == 1:
            outage.enter_context(store.proxy.outage())
        if at.epoch == 5:
            deadline = time.monotonic() + 60
            while "a checkpoint in" not in caplog.text:  # one was tried
                assert time.monotonic() < deadline
                time.sleep(0.05)
            outage.close()
        return end(self, at, first_step)

    solver = {**SGD, "epochs": 8, "early_stop": None}
    with outage, monkeypatch.context() as patch:
        patch.setattr(MiniBatches, "end_epoch", end_epoch)
        run = lr.train(spec_of(data, f"{store.uri}/runs", solver=solver, run={"checkpoint_every_s": 1e-9}))
    assert "a checkpoint in s3://lab/runs/job/checkpoints was not written, the job goes on" in caplog.text
    assert run.result["solver"]["epochs"] == 8
    undisturbed = lr.train(spec_of(parts, tmp_path / "runs", solver=solver))
    np.testing.assert_array_equal(run.model.coef_, undisturbed.model.coef_)


@pytest.mark.usefixtures("impatient")
def test_checkpoints_of_an_exact_pass_may_fail(
    store: Store, data: str, caplog: pytest.LogCaptureFixture
) -> None:
    with faults(store.proxy, Fault("PUT .*/checkpoints/moments/", status=503, code="SlowDown")):
        run = lr.train(
            spec_of(data, f"{store.uri}/runs", solver={"name": "exact"}, run={"checkpoint_every_s": 1e-9})
        )
    assert run.result["status"] == "succeeded"
    assert "moments/lane-0000.safetensors' in bucket 'lab'" in caplog.text
    assert "the pass goes on" in caplog.text


@pytest.mark.usefixtures("impatient")
def test_a_finished_model_is_kept_here_if_the_store_is_gone_at_the_end(
    tmp_path: Path, parts: Path, store: Store, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    solver = {**SGD, "epochs": 2}
    with (
        faults(store.proxy, Fault("PUT /lab/runs/job/(model|metrics|result)", status=503, code="SlowDown")),
        pytest.raises(lr.StorageError) as caught,
    ):
        lr.train(spec_of(data, f"{store.uri}/runs", solver=solver))
    message = str(caught.value)
    assert "bucket 'lab', key 'runs/job/model/model.safetensors'" in message
    assert f"kept in {tmp_path}/job-unsaved" in message
    assert caught.value.exit_code == 4
    kept = tmp_path / "job-unsaved"
    local = lr.train(spec_of(parts, tmp_path / "runs", solver=solver))
    np.testing.assert_array_equal(lr.LinearModel.load(kept).coef_, local.model.coef_)
    assert json.loads((kept / "result.json").read_text())["status"] == "succeeded"
    assert len([line for line in (kept / "metrics.jsonl").read_text().splitlines() if '"epoch"' in line]) == 2
    assert "Loss over 2 epochs" in (kept / "report.html").read_text()
    again = lr.train(spec_of(data, f"{store.uri}/runs", solver=solver))
    np.testing.assert_array_equal(again.model.coef_, local.model.coef_)


@pytest.mark.usefixtures("impatient")
def test_a_page_that_the_store_refuses_is_kept_here_with_the_rest(
    tmp_path: Path, store: Store, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        faults(store.proxy, Fault("PUT .*/report.html", status=503, code="SlowDown")),
        pytest.raises(lr.StorageError, match=r"runs/job/report\.html"),
    ):
        lr.train(spec_of(data, f"{store.uri}/runs", solver=SGD))
    kept = tmp_path / "job-unsaved"
    assert "Loss over" in (kept / "report.html").read_text()
    assert (kept / "model" / "config.json").exists()


@pytest.mark.usefixtures("impatient")
def test_metrics_that_the_worker_could_not_write_are_written_at_the_end(store: Store, data: str) -> None:
    refused = 3 * 2 + 1  # the attempts of the SDK, ours above it, and one more
    with faults(store.proxy, Fault("PUT .*/metrics.jsonl", status=503, code="SlowDown", times=refused)):
        lr.train(spec_of(data, f"{store.uri}/runs", solver={**SGD, "epochs": 2}))
    lines = [json.loads(line) for line in store.read("runs/job/metrics.jsonl").splitlines()]
    assert [line["epoch"] for line in lines if "epoch" in line] == [0, 1]


@pytest.mark.usefixtures("impatient")
def test_the_end_waits_for_a_store_that_comes_back(store: Store, data: str) -> None:
    fault = Fault("PUT .*/model/", status=503, code="SlowDown", times=5)  # more than the SDK tries
    with store.proxy.fault(fault):
        run = lr.train(spec_of(data, f"{store.uri}/runs"))
    assert fault.hits == 5
    assert run.result["status"] == "succeeded"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "code", "message"),
    [
        (Fault("/lab/data", status=503, code="SlowDown"), 4, "bucket 'lab', key 'data'.*HTTP status 503"),
        (Fault("GET .*part-1", status=500), 4, r"bucket 'lab', key 'data/part-1\.parquet'"),
        (Fault("/lab/data", reset_after=-1), 4, "bucket 'lab', key 'data'.*NETWORK_CONNECTION"),
        (Fault("/lab/data", status=403, code="AccessDenied"), 3, "cannot list s3://lab/data.*ACCESS_DENIED"),
        (Fault("GET .*part-1", status=403, code="AccessDenied"), 3, r"part-1\.parquet.*ACCESS_DENIED"),
        (
            Fault("/lab/runs", status=403, code="AccessDenied"),
            2,
            "bucket 'lab', key 'runs/job.*ACCESS_DENIED",
        ),
        (Fault("/lab/runs", status=503, code="SlowDown"), 4, "bucket 'lab', key 'runs/job.*SLOW_DOWN"),
    ],
    ids=["throttled", "500", "down", "denied", "denied file", "denied run", "throttled run"],
)
def test_giving_up_names_bucket_and_key(
    tmp_path: Path,
    store: Store,
    data: str,
    capfd: pytest.CaptureFixture[str],
    fault: Fault,
    code: int,
    message: str,
) -> None:
    import re

    (tmp_path / "job.yaml").write_text(json.dumps(spec_of(data, f"{store.uri}/runs")))
    began = time.monotonic()
    with faults(store.proxy, fault):
        assert run_cli(["train", str(tmp_path / "job.yaml")]) == code
    assert time.monotonic() - began < 60
    errors = capfd.readouterr().err
    assert re.search(message, errors), errors
    assert "Traceback" not in errors


@pytest.mark.usefixtures("impatient", "store")
@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (("s3://nowhere/data", "runs"), lr.DataError, "s3://nowhere/data"),
        (("s3://lab/nothing", "runs"), lr.DataError, "s3://lab/nothing does not exist"),
    ],
)
def test_data_that_is_not_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spec: tuple[str, str],
    error: type[lr.LinregDistError],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        lr.train(spec_of(*spec))


def test_a_bucket_for_runs_that_is_not_there(data: str) -> None:
    with pytest.raises(lr.SpecError, match=r"bucket 'nowhere', key 'runs/job/.*NO_SUCH_BUCKET"):
        lr.train(spec_of(data, "s3://nowhere/runs"))


@pytest.mark.usefixtures("impatient")
def test_data_that_stops_coming_ends_the_run_so_that_it_can_go_on(
    store: Store, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, outage = BlockBuilder.build, ExitStack()

    def build_until_outage(self: BlockBuilder, group: Any) -> Any:
        if group.index == 3:
            outage.enter_context(store.proxy.fault(Fault("/lab/data", reset_after=-1)))
        return build(self, group)

    spec = spec_of(data, f"{store.uri}/runs", solver=SGD)
    with outage, monkeypatch.context() as patch:
        patch.setattr(BlockBuilder, "build", build_until_outage)
        with pytest.raises(lr.StorageError, match=r"bucket 'lab', key 'data/part-\d\.parquet'"):
            lr.train(spec)
    result = json.loads(store.read("runs/job/result.json"))
    assert (result["status"], result["error"]["type"]) == ("failed", "StorageError")
    assert lr.train(spec).result["status"] == "succeeded"


def test_a_store_that_is_silent_is_given_up_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    import socket

    from linreg_dist.storage import filesystems, no_patience

    monkeypatch.setattr(filesystems, "_SILENCE_S", 1.0)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(16)
        port = mute.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        began = time.monotonic()
        with no_patience(), pytest.raises(lr.StorageError, match="bucket 'lab', key 'a'"):
            ObjectPath.of("s3://lab/a").read_bytes()
        assert time.monotonic() - began < 20
