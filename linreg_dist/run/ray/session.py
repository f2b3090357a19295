"""Ray for one job: join a cluster or start one, and see that it can ever run the job."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from linreg_dist import limits
from linreg_dist.errors import ClusterError, InterruptedRunError, RunFailedError, SpecError
from linreg_dist.jobspec import JobSpec, is_uri
from linreg_dist.run.ray.home import token_at_hand
from linreg_dist.run.ray.loopback import ray_listens_on_loopback
from linreg_dist.run.ray.python_path import ray_job_config
from linreg_dist.run.watch.capacity import shortage
from linreg_dist.run.watch.head import HeadWatch
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_CONNECT_TIMEOUT_S = 5.0


@contextmanager
def ray_session(
    spec: JobSpec, *, verbose: bool, last_words: Callable[[ClusterError], None] = lambda _: None
) -> Iterator[HeadWatch | None]:
    """Have Ray ready for the job: join the cluster that ``cluster.address`` names, reuse one this process
    has, or start one.

    Local mode (``num_workers: 0``) needs none. A Ray that was started here is stopped again.

    Args:
        spec: the job.
        verbose: let Ray's log lines through.
        last_words: see `HeadWatch`, which is given out; None where there is no head to watch.

    Raises:
        ClusterError: the cluster cannot be reached, refuses us, or is too small for the job.
        RunFailedError: no Ray can be started on this machine.

    """
    if spec.scaling.max_workers == 0 and spec.cluster.address is None:
        yield None
        return
    import ray

    started = False
    with ExitStack() as environment:
        if not ray.is_initialized():
            if _is_ours(spec):
                environment.enter_context(_inherited(spec.cluster.env))
            with _keep_stop_notice():
                _connect(spec, verbose=verbose)
            started = True
        watch = _watch_head(last_words)
        try:
            _check_resources(spec)
            yield watch
        finally:
            if started:
                ray.shutdown()
            if watch is not None:
                watch.close()


def environment_of_workers(spec: JobSpec) -> dict[str, Any] | None:
    """Return ``cluster.env`` as the runtime_env of the job's workers; None where they inherit it.

    A runtime_env is no place for a secret: the processes that prepare it have it in their arguments, which
    all users of a machine can list, and Ray writes it to its logs, which they can read. On a Ray that is not
    ours there is no other way.
    """
    missing = {name for name, value in spec.cluster.env.items() if _inheritable.get(name) != value}
    return {"env_vars": dict(spec.cluster.env)} if missing else None


# What the Ray that this process has started got from its environment.
_inheritable: dict[str, str] = {}


def _is_ours(spec: JobSpec) -> bool:
    """Return whether the job gets a Ray of its own on this machine."""
    return spec.cluster.address is None and not os.environ.get("RAY_ADDRESS")


@contextmanager
def _inherited(variables: Mapping[str, str]) -> Iterator[None]:
    """Have variables in this process's environment within the block, for the Ray that it starts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    _inheritable.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            _inheritable.pop(name, None)
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _watch_head(last_words: Callable[[ClusterError], None]) -> HeadWatch | None:
    import ray
    import ray.util.client

    if ray.util.client.ray.is_connected():  # by ray://, where a server on the cluster is the driver
        return None
    return HeadWatch(ray.get_runtime_context().gcs_address, last_words)


def quiet_ray() -> None:
    """Keep Ray's own log lines off the console; its log files keep everything.

    Called after ray is imported, because the import sets its loggers' levels.
    """
    for name in ("ray", "ray.train"):
        logging.getLogger(name).setLevel(logging.ERROR)


def use_train_v2() -> None:
    """Have this process use the second version of Ray Train, the only one that we know.

    Many environments set ``RAY_TRAIN_V2_ENABLED=0`` for older code. Ray reads it when ray.train is imported,
    and again later.

    Raises:
        SpecError: ray.train was imported under that setting before.

    """
    name = "RAY_TRAIN_V2_ENABLED"
    if os.environ.get(name, "1").lower() in ("1", "true"):
        return
    if "ray.train" in sys.modules:
        raise SpecError(
            f"{name} is {os.environ[name]}, and Ray Train was imported with it: linreg_dist needs its second "
            f"version. Unset {name} before ray.train is imported"
        )
    logger.warning(
        "%s=%s is ignored: linreg_dist needs the second version of Ray Train", name, os.environ[name]
    )
    os.environ[name] = "1"


def first_line(error: BaseException) -> str:
    """Return the line of an error of Ray's that says what happened, which is its last."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


@contextmanager
def _keep_stop_notice() -> Iterator[None]:
    """Keep the handler of SIGTERM, which `ray.init` replaces by one that ends the process at once.

    Raises:
        InterruptedRunError: the notice came while Ray's handler was in place.

    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        raise InterruptedRunError(
            "told to stop while Ray started; start the same job again to continue"
        ) from error
    finally:
        is_ours = before not in (None, signal.SIG_DFL)
        if is_ours and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _connect(spec: JobSpec, *, verbose: bool) -> None:
    # Ray reads these when it is first imported: its notice on future GPU handling, and its usage report, are
    # not for our users.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # workers' lines are shown without their escape sequences
    import ray

    if not verbose:
        quiet_ray()
    address = spec.cluster.address
    options: dict[str, Any] = {
        "configure_logging": True,
        "logging_level": logging.INFO if verbose else logging.ERROR,
        "log_to_driver": verbose,
        "include_dashboard": False,
    }
    if _is_ours(spec):
        cores = limits.available_cpus()
        needed = spec.scaling.max_workers * spec.scaling.resources_per_worker.get("CPU", 1.0)
        # More workers than cores is slow but right, and lets a laptop try what a cluster will do.
        options |= {"address": "local", "num_cpus": max(cores, int(-(-needed // 1)))}
    else:
        address = address or os.environ["RAY_ADDRESS"]
        if address.startswith("http"):
            raise ClusterError(
                f"cluster.address is {address}, a job server; expected host:port or auto here. Use "
                f"`linreg-dist submit` to send the job to it"
            )
        _check_reachable(address)
        options |= {"address": address}
        del options["include_dashboard"]
        if spec.cluster.runtime_env:
            options["runtime_env"] = dict(spec.cluster.runtime_env)
        if spec.cluster.env and is_uri(spec.run.storage_path) and not _is_submitted():
            # Ray's controller, which is none of the workers, writes to the storage too.
            runtime_env = options.setdefault("runtime_env", {})
            runtime_env["env_vars"] = {**runtime_env.get("env_vars", {}), **spec.cluster.env}
    if not str(address).startswith("ray://"):  # there the driver is a process of the cluster
        options["job_config"] = ray_job_config()
    starts_one = options["address"] == "local"
    try:
        if starts_one:
            with ray_listens_on_loopback(), token_at_hand():
                ray.init(**options)
        else:
            ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        limits.let_through(error)
        if starts_one:
            raise RunFailedError(_not_started(error)) from error
        raise ClusterError(
            f"cannot connect to Ray at {address or 'this machine'}: {first_line(error)}. Check that it "
            f"runs (`ray status`), and that address "
            "and credentials are right (RAY_AUTH_MODE=token for a cluster with token authentication)"
        ) from error


def _not_started(error: BaseException) -> str:
    """Return what to say of a Ray for this machine that could not be started."""
    temporary = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return (
        f"Ray could not be started on this machine: {first_line(error)}. It needs a temporary folder that "
        f"can be written to (TMPDIR or RAY_TMPDIR; now {temporary}) "
        f"and takes HOME for settings (now {os.environ.get('HOME') or 'not set'}). -v shows Ray's log; with "
        "scaling.num_workers: 0 the job runs in this process, without Ray"
    )


def _is_submitted() -> bool:
    """Return whether a job server started this process: then all of the job has its environment variables,
    and Ray refuses to be given them twice.
    """
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def _check_reachable(address: str) -> None:
    """Fail in seconds where Ray would try for minutes."""
    target = address.removeprefix("ray://")
    if target in ("auto", "local") or ":" not in target:
        return
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"no Ray cluster answers at {address}: {error}. Expected the address of a running head (`ray "
            f"start --head` prints it); "
            "leave cluster.address out to run on this machine"
        ) from error


def _check_resources(spec: JobSpec) -> None:
    """Refuse a job that the cluster can never run; Ray alone would wait for ever.

    Raises:
        ClusterError: names what is needed and what there is.

    """
    short = shortage(spec)
    if short and _is_ours(spec):
        raise ClusterError(
            f"this machine is too small: the job needs {short}. Lower scaling.num_workers or "
            "scaling.resources_per_worker, or give cluster.address of a cluster"
        )
    if short:
        raise ClusterError(
            f"the cluster is too small: the job needs {short}. Lower scaling.num_workers or "
            "scaling.resources_per_worker, or add nodes"
        )
