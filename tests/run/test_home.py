"""A Ray of our own starts where there is no home to write to, and what is said of it speaks of no cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from linreg_dist.errors import ClusterError, RunFailedError
from linreg_dist.jobspec import JobSpec, load_spec
from linreg_dist.run.ray import session
from linreg_dist.run.ray.home import token_at_hand
from tests.parquet import linear_columns, write_parquet

VARIABLE = "RAY_AUTH_TOKEN"


@pytest.fixture
def by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("RAY_AUTH_MODE", VARIABLE, "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


@pytest.mark.parametrize("home", ["/dev/null", "/proc/1/fdinfo"])
def test_without_a_home_there_is_a_token_for_the_start_alone(
    by_default: pytest.MonkeyPatch, home: str
) -> None:
    by_default.setenv("HOME", home)
    with token_at_hand():
        first = os.environ[VARIABLE]
        assert len(first) >= 32
    assert VARIABLE not in os.environ
    with token_at_hand():
        assert os.environ[VARIABLE] == first  # Ray keeps the first that a process has seen


def test_with_a_home_ray_keeps_its_own(by_default: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with token_at_hand():
        assert VARIABLE not in os.environ
    (tmp_path / ".ray" / "auth_token").write_text("there")
    with token_at_hand():
        assert VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("name", "value"), [("RAY_AUTH_MODE", "disabled"), (VARIABLE, "mine"), ("RAY_AUTH_TOKEN_PATH", "/mine")]
)
def test_what_the_user_has_set_stays(by_default: pytest.MonkeyPatch, name: str, value: str) -> None:
    by_default.setenv("HOME", "/dev/null")
    by_default.setenv(name, value)
    before = dict(os.environ)
    with token_at_hand():
        assert dict(os.environ) == before


def job(**cluster: str) -> JobSpec:
    return load_spec(
        {"data": {"path": "d", "target": "y"}, "scaling": {"num_workers": 1}, "cluster": cluster or {}}
    )


def test_a_ray_of_our_own_that_does_not_start_speaks_of_no_cluster(by_default: pytest.MonkeyPatch) -> None:
    import ray

    def refused(**_: object) -> None:
        raise PermissionError(13, "Permission denied", "/.ray")

    by_default.setattr(ray, "init", refused)
    with pytest.raises(RunFailedError, match="could not be started on this machine") as raised:
        session._connect(job(), verbose=False)
    assert "HOME" in str(raised.value)
    assert "cluster" not in str(raised.value)
    assert "credentials" not in str(raised.value)


def test_of_a_cluster_it_still_speaks_of_address_and_credentials(by_default: pytest.MonkeyPatch) -> None:
    import ray

    def refused(**_: object) -> None:
        raise ConnectionError("no token")

    by_default.setattr(ray, "init", refused)
    with pytest.raises(ClusterError, match="address and credentials"):
        session._connect(job(address="auto"), verbose=False)


@pytest.mark.slow
def test_one_worker_trains_without_a_home(by_default: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", linear_columns(100, 2))
    spec = {
        "name": "r",
        "data": {"path": str(path), "target": "y"},
        "run": {"storage_path": str(tmp_path / "runs")},
        "scaling": {"num_workers": 1},
    }
    file = tmp_path / "job.json"
    file.write_text(json.dumps(spec | {"version": 1}))
    ran = subprocess.run(
        [sys.executable, "-m", "linreg_dist", "train", str(file), "-q"],
        env=os.environ | {"HOME": "/dev/null"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
