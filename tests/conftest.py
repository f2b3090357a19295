"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from linreg_dist.wording.secrets import forget
from tests import clusters

if TYPE_CHECKING:
    from linreg_dist.run.finished_run import Run


_CPU_BEFORE = pytest.StashKey[float]()
_QUICK_CPU_S = 4.0  # what a test of `make test-quick` may take
_TESTS = Path(__file__).parent

LONGEST = (
    "cluster/test_network.py",
    "storage/test_workers.py",
    "cluster/test_job_server.py",
    "promises/test_stuck_workers.py",
    "promises/test_stopping.py",
    "promises/test_retries.py",
    "faults/test_rounds.py",
    "promises/test_notebook.py",
    "cluster/test_nodes.py",
    "promises/test_elastic.py",
    "promises/test_memory.py",
    "run/test_local_watch.py",
    "benchmarks/test_contenders.py",
    "run/test_loopback.py",
    "run/test_head_watch.py",
    "integrations/test_command.py",
    "test_docs.py",
    "export/test_mlflow.py",
    "sklearn/test_checks.py",
)
"""Files that take more than about half a minute, the longest first."""


def pytest_configure(config: pytest.Config) -> None:
    """Give all tests, also those in the processes of `pytest -n`, the same signals and the same Ray."""
    clusters.is_guarded = True
    # No test fails because its machine has other work to do: an example may take any time.
    # And none because of the day: examples are the same in every run, unless new ones are asked for by
    # `pytest --hypothesis-profile explore`.
    settings.register_profile("explore", settings(), deadline=None)
    settings.register_profile("steady", settings(), deadline=None, derandomize=True)
    settings.load_profile(config.getoption("--hypothesis-profile") or "steady")
    # Ctrl-C shall reach the programs that tests start; the processes of pytest -n are born ignoring it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # `ray.init` turns token authentication on for the rest of its process if nothing is said of it, so that
    # a test's clusters would depend on the tests before it. Tests of the default or of tokens say so.
    os.environ["RAY_AUTH_MODE"] = "disabled"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that `pytest -n` has short ones left to fill the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    place = {_TESTS / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (place.get(item.path, len(place)), item.path not in slow))


@pytest.fixture(autouse=True)
def _nothing_hidden() -> Iterator[None]:
    """Let no test hide values of its environment from the messages of the next."""
    yield
    forget()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tell what starts clusters whether this test may: `make test-quick` runs what is not marked slow."""
    clusters.allowed_for = None if item.get_closest_marker("slow") is None else item.nodeid
    item.stash[_CPU_BEFORE] = _cpu_s()


def _cpu_s() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the processor time of a test, which does not depend on what else the machine does."""
    report = yield
    if report.when == "call" and item.get_closest_marker("slow") is None:
        report.user_properties.append(("cpu_s", _cpu_s() - item.stash[_CPU_BEFORE]))
    return report


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Refuse a test that started Ray in a roundabout way, as by training on workers."""
    ray = sys.modules.get("ray")
    if clusters.allowed_for is None and ray is not None and ray.is_initialized() and not clusters.is_known:
        clusters.is_known = True  # the tests after it are not to blame
        pytest.fail(f"{item.nodeid} started Ray: mark it slow, or test the same without a cluster")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count aloud what was skipped, which is no green, and what holds up `make test-quick`."""
    reasons = Counter(
        str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        for report in terminalreporter.stats.get("skipped", [])
    )
    if reasons:
        terminalreporter.section(f"NOT TESTED HERE: {reasons.total()} tests", yellow=True, bold=True)
        for reason, number in reasons.most_common():
            terminalreporter.line(f"{number:4} {reason.removeprefix('Skipped: ')}", yellow=True)
    passed = [(dict(report.user_properties), report) for report in terminalreporter.stats.get("passed", [])]
    dear = {
        report.nodeid: cpu_s for known, report in passed if (cpu_s := known.get("cpu_s", 0.0)) > _QUICK_CPU_S
    }
    if dear:
        terminalreporter.section(
            f"{len(dear)} tests took more than {_QUICK_CPU_S:g} s and are not marked slow"
        )
        for name, cpu_s in sorted(dear.items(), key=lambda item: -item[1]):
            terminalreporter.line(f"{cpu_s:6.1f} s of processor time: {name}")


@pytest.fixture
def train_here(tmp_path: Path) -> Callable[..., Run]:
    """Return a function that trains in this process on the Parquet at a path.

    It takes the sections of a spec; the target is ``y`` and no row validates unless ``data`` says so.
    """
    from linreg_dist.verbs.train import train  # loads torch: only for tests that train

    def run(
        path: Path, *, fresh: bool = False, data: Mapping[str, Any] | None = None, **sections: Any
    ) -> Run:
        spec = {
            "name": "job",
            "data": {"path": str(path), "target": "y", "validation": {"method": "none"}, **(data or {})},
            **sections,
            "run": {"storage_path": str(tmp_path / "runs"), **sections.get("run", {})},
        }
        return train(spec, fresh=fresh)

    return run


@pytest.fixture
def light_workers() -> Iterator[None]:
    """Train on processes of our own, without Ray, wherever a spec asks for workers."""
    from tests.light_workers import without_ray

    with without_ray():
        yield


@pytest.fixture
def no_ray() -> None:
    """No Ray of this process, which other tests may have left: what is started here is a Ray of its own."""
    import ray

    ray.shutdown()


@pytest.fixture
def ray_cluster() -> None:
    """One local Ray with room for three workers; `linreg_dist.train` joins it because it is this process's.

    It stays for the tests that follow, and ends with the process or where a test wants a Ray of its own.
    """
    import ray

    from tests.local_ray import start_local_ray

    if not ray.is_initialized():
        start_local_ray()
