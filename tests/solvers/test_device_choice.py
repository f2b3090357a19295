"""``use_gpu: auto``: the decision as pure functions, and whole runs in which the CPU plays the GPU's part."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.solvers import device_choice
from linreg_dist.solvers.device_choice import compare, hopeless
from linreg_dist.solvers.exact import device as exact_device
from linreg_dist.solvers.exact.device import FEWEST_COLUMNS, seconds_on_cores, seconds_on_gpu
from linreg_dist.training.rows.gpus import VARIABLE
from tests.parquet import linear_columns, write_parquet

SECONDS = st.floats(1e-6, 1e6)
SGD = {"name": "sgd", "epochs": 2, "learning_rate": 0.01, "global_batch_size": 50, "early_stop": None}


@pytest.mark.parametrize(
    ("cores_s", "num_bytes", "is_hopeless"),
    [
        (1.9, 1_056_000_000, True),  # ten epochs of 8M rows of 32 columns on 16 cores, as measured
        (2.9, 0, True),
        (30.0, 1_056_000_000, False),
        (30.0, 200_000_000_000, True),  # the copy alone takes 40 s
    ],
)
def test_a_gpu_is_not_started_for_steps_that_are_over_sooner(cores_s, num_bytes, is_hopeless):
    reason = hopeless(cores_s, num_bytes)
    assert (reason is not None) == is_hopeless
    assert reason is None or f"{cores_s:.2g} s on the cores" in reason


@given(cores_s=SECONDS, gpu_s=SECONDS)
def test_a_gpu_is_taken_only_where_it_was_faster(cores_s, gpu_s):
    goes, reason = compare(cores_s, gpu_s, "H200", measuring_s=1.5)
    assert not goes or gpu_s < cores_s
    assert goes or gpu_s >= 0.9 * cores_s
    for part in (f"{cores_s:.2g} s on the cores", f"{gpu_s:.2g} s on the GPU (H200)", "1.5 s"):
        assert part in reason


@given(rows=st.integers(1, 10**9), width=st.integers(2, 8192), threads=st.integers(1, 128))
def test_sums_go_to_a_gpu_where_many_columns_meet_few_cores(rows, width, threads):
    def goes(width, threads):
        return seconds_on_gpu(rows, width, 3e13) < seconds_on_cores(rows, width, threads)

    assert goes(width, threads) <= goes(2 * width, threads), "wider rows never go back"
    assert goes(width, 2 * threads) <= goes(width, threads)
    assert not goes(33, threads), "as measured beside an H200"


@pytest.fixture
def train(tmp_path, train_here, monkeypatch):
    data = write_parquet(tmp_path / "a.parquet", linear_columns(900, 3), row_group_size=200)

    def run(gpus, **solver):
        monkeypatch.delenv(VARIABLE, raising=False)
        if gpus:
            monkeypatch.setenv(VARIABLE, gpus)
        return train_here(data, solver={**SGD, **solver}, scaling={"use_gpu": "auto"})

    return run


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
@pytest.mark.parametrize("solver", ["sgd", "exact"])
def test_without_a_gpu_auto_means_the_cores_and_says_so(train, solver):
    run = train(None, name=solver)
    assert run.result["solver"]["device"] == "cpu"
    assert run.result["solver"]["device_reason"] == "PyTorch finds no GPU on this machine"
    assert "the cores: PyTorch finds no GPU on this machine" in str(run.summary())


def test_short_steps_stay_on_the_cores(train):
    said = train("1x1000000000").result["solver"]
    assert said["device"] == "cpu"
    assert "starting a GPU and copying the rows to it" in said["device_reason"]


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_faster_of_both_takes_the_steps(train, monkeypatch, factor):
    """The clock of the GPU is turned, because here both are the CPU."""
    asked = []

    def turned(cores_s, gpu_s, name, *, measuring_s):
        asked.append((cores_s, gpu_s, measuring_s))
        return compare(cores_s, cores_s * factor, name, measuring_s=measuring_s)

    monkeypatch.setattr(device_choice, "START_S", 0.0)
    monkeypatch.setattr(device_choice, "compare", turned)
    run, plain = train("1x1000000000"), None
    assert len(asked) == 1
    assert min(asked[0]) > 0.0
    said = run.result["solver"]["device_reason"]
    assert "on the GPU (the CPU in a GPU's part)" in said
    assert ("the GPU: " if factor < 1 else "the cores: ") + said in str(run.summary())
    plain = train(None)
    assert run.model.coef_ == pytest.approx(plain.model.coef_, rel=1e-5)


def test_a_gpu_that_fails_is_left_alone(train, monkeypatch):
    def fail(*_):
        raise RuntimeError("CUDA error: no kernel image is available\nmore")

    monkeypatch.setattr(device_choice, "START_S", 0.0)
    monkeypatch.setattr(device_choice, "on_gpu", fail)
    run = train("1x1000000000")
    assert run.result["solver"]["device"] == "cpu"
    assert (
        "could not be used: CUDA error: no kernel image is available" in run.result["solver"]["device_reason"]
    )
    assert "more" not in run.result["solver"]["device_reason"]


@pytest.mark.slow  # torch's L-BFGS imports its compiler
def test_lbfgs_decides_too(train, monkeypatch):
    monkeypatch.setattr(device_choice, "START_S", 0.0)
    said = train("1x1000000000", name="lbfgs", learning_rate="auto", global_batch_size="auto")
    assert "on the GPU (the CPU in a GPU's part)" in said.result["solver"]["device_reason"]


def test_an_exact_fit_of_few_columns_is_summed_on_the_cores(train):
    said = train("1x1000000000", name="exact").result["solver"]
    assert said["device"] == "cpu"
    assert f"from about {FEWEST_COLUMNS} columns on" in said["device_reason"]


@pytest.mark.parametrize("core_rate", [1.0, 1e30])
def test_many_columns_are_summed_where_that_is_faster(train, monkeypatch, core_rate):
    monkeypatch.setattr(exact_device, "FEWEST_COLUMNS", 1)
    monkeypatch.setattr(exact_device, "START_S", 0.0)
    monkeypatch.setattr(exact_device, "_CORE_PRODUCTS_PER_S", core_rate)
    run = train("1x1000000000", name="exact")
    said = run.result["solver"]["device_reason"]
    assert said.startswith("the sums take about")
    assert ("the GPU: " if core_rate == 1.0 else "the cores: ") in str(run.summary())
