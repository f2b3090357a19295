"""`JobServer`: Ray's job server, with its errors in our words and a limit on every wait."""

from __future__ import annotations

import functools
import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from linreg_dist.cluster.proxy import proxy_hint
from linreg_dist.cluster.reading import JobReader, Refused
from linreg_dist.cluster.shipment import METADATA_NAME
from linreg_dist.cluster.tail import read_stream
from linreg_dist.errors import ClusterError, SpecError
from linreg_dist.wording.secrets import show_uri

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
_CONNECT_TIMEOUT_S = 5.0
_REQUEST_TIMEOUT_S = 60.0
_SECONDS_BETWEEN_SIGNS = 5.0
_YEAR_9000_MS = 221_845_392_000_000
_ADDRESS_VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_CHATTY_LOGGERS = (  # they set their own levels, and tell of every upload and connection
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
    "ray._private.runtime_env.packaging",
)
_AUTH_REMEDY = (
    "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH, or the file ~/.ray/auth_token) to "
    "the cluster's token"
)


@dataclass(frozen=True)
class Job:
    """One job as the server knows it.

    Attributes:
        id: its submission id.
        state: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        message: what the server says about the state.
        started_ms: Unix time in milliseconds, as Ray gives it; likewise `ended_ms`.
        exit_code: of the job's process, once it has ended.
        metadata: what was stored with it.

    """

    id: str
    state: str
    message: str = ""
    started_ms: int | None = None
    ended_ms: int | None = None
    exit_code: int | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str | None:
        """The run's name; None if the job is not one of ours."""
        return self.metadata.get(METADATA_NAME)

    @property
    def is_over(self) -> bool:
        """Whether it will not change its state any more."""
        return self.state in ("SUCCEEDED", "FAILED", "STOPPED")


class JobExistsError(Exception):
    """The submission id has been used on this cluster."""


def job_server_address(given: str | None, environ: Mapping[str, str] | None = None) -> str:
    """Return the URL of the job server: `given`, or RAY_API_SERVER_ADDRESS, RAY_ADDRESS, or this machine's.

    ``auto`` counts as not given, and so does a RAY_ADDRESS that is not a URL.

    Raises:
        SpecError: `given` is another kind of Ray address.

    """
    environ = os.environ if environ is None else environ
    if given is not None and given != "auto":
        if not _is_url(given):
            raise SpecError(
                f"{show_uri(given.rpartition('@')[2])} is not the address of a job server; expected "
                "http://host:8265, which `ray start --head` prints as the dashboard's "
                "(host:port and ray:// addresses are for `train`)"
            )
        return _checked(given, "the address")
    for variable in _ADDRESS_VARIABLES:
        if _is_url(environ.get(variable, "")):
            return _checked(environ[variable], variable)
    return DEFAULT_ADDRESS


def _checked(url: str, what: str) -> str:
    """Return a URL without the slashes at its end.

    Raises:
        SpecError: it names no host, or a port that there is not.

    """
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError("it names no host")
        if parts.port == 0:  # others that there are not raise ValueError when they are asked for
            raise ValueError("there is no port 0")
    except ValueError as error:
        raise SpecError(f"{what} of the job server is no URL: {error}; expected http://host:8265") from error
    return url.rstrip("/")


class JobServer:
    """A connection to the job server at a URL; every method may raise `ClusterError`.

    Args:
        address: from `job_server_address`.
        token: the cluster's; by default what Ray finds in the environment, where RAY_AUTH_MODE is token.
        verify: whether a server's certificate is checked, or the file or folder of those that are trusted.

    Raises:
        ClusterError: nobody answers there, or we are refused.

    """

    def __init__(self, address: str, *, token: str | None = None, verify: bool | str = True) -> None:
        self.address = address
        self._token, self._verify = token, verify
        self._check_reachable()
        with self._errors():
            self._reader = JobReader(address, token, verify, _REQUEST_TIMEOUT_S)

    @functools.cached_property
    def _client(self) -> Any:
        """Ray's own client, for what sends something."""
        with self._errors(), _no_other_address():
            from ray.job_submission import JobSubmissionClient

            for name in _CHATTY_LOGGERS:
                logging.getLogger(name).setLevel(logging.WARNING)
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else None
            client = JobSubmissionClient(self.address, headers=headers, verify=self._verify)
        # Ray's client sets no limit: a link that is cut would hold us for ever.
        client._do_request = functools.partial(client._do_request, timeout=_REQUEST_TIMEOUT_S)
        return client

    def submit(
        self, job_id: str, entrypoint: str, runtime_env: dict[str, Any], metadata: dict[str, str]
    ) -> None:
        """Start a job.

        Raises:
            JobExistsError: the id has been used.

        """
        with self._errors():
            try:
                self._client.submit_job(
                    entrypoint=entrypoint, submission_id=job_id, runtime_env=runtime_env, metadata=metadata
                )
            except RuntimeError as error:
                if "already" in str(error) and job_id in str(error):
                    raise JobExistsError(job_id) from error
                raise

    def job(self, job_id: str) -> Job:
        """Return the job with this submission id.

        Raises:
            SpecError: there is none.

        """
        with self._errors():
            return _job(self._reader.get_job_info(_in_url(job_id)))

    def jobs(self) -> list[Job]:
        """Return all jobs that were submitted by us, newest first."""
        with self._errors():
            found = [_job(details) for details in self._reader.list_jobs() if details.submission_id]
        ours = [job for job in found if job.name is not None]
        return sorted(ours, key=lambda job: job.started_ms or 0, reverse=True)

    def find(self, job: str) -> Job:
        """Return the job with this submission id, or else the newest whose run has this name.

        Raises:
            SpecError: there is none.

        """
        try:
            return self.job(job)
        except SpecError:
            for candidate in self.jobs():
                if candidate.name == job:
                    return candidate
            raise

    def logs(self, job_id: str) -> str:
        """Return what the job has printed so far."""
        with self._errors():
            return self._reader.get_job_logs(_in_url(job_id))

    def tail(self, job_id: str) -> Iterator[str]:
        """Yield the job's log from its beginning, as it grows, until the job ends.

        An empty text comes every few seconds in which nothing is printed.

        Raises:
            ClusterError: the connection was lost.

        """
        stream = self._client.tail_job_logs(_in_url(job_id))
        with self._errors():
            yield from read_stream(stream, _SECONDS_BETWEEN_SIGNS)

    def stop(self, job_id: str) -> bool:
        """Ask the job to stop, and return whether it was running."""
        with self._errors():
            return bool(self._client.stop_job(_in_url(job_id)))

    def _check_reachable(self) -> None:
        """Fail in seconds where the client would try for minutes."""
        parts = urlsplit(self.address)
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            socket.create_connection((parts.hostname or "", port), timeout=_CONNECT_TIMEOUT_S).close()
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"no job server answers at {self.address}: {error}. Expected the address of a running head's "
                "dashboard, http://host:8265; give it with --address"
            ) from error

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn what Ray's client and our own raise into our errors."""
        try:
            yield
        except _refusals() as error:
            raise ClusterError(f"{self.address} refuses us: {_first_line(error)}; {_AUTH_REMEDY}") from error
        except _of_the_network() as error:
            refused = getattr(error, "status", None) in (401, 403)
            reason = f"refuses us; {_AUTH_REMEDY}" if refused else f"cannot be reached: {_first_line(error)}"
            reason += proxy_hint(self.address)
            raise ClusterError(f"{self.address} {reason}") from error
        except RuntimeError as error:
            if "status code 404" in str(error):
                raise SpecError(
                    f"there is no such job at {self.address}: {_first_line(error)} `linreg-dist list` shows "
                    "those there are"
                ) from error
            raise ClusterError(
                f"the job server at {self.address} failed: {_last_line(error)}{proxy_hint(self.address)}"
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ClusterError(
                f"what answers at {self.address} is no job server of a Ray that this version knows: "
                f"{_first_line(error)}. Expected the address of a running head's dashboard, http://host:8265"
                f"{proxy_hint(self.address)}"
            ) from error


def _refusals() -> tuple[type[BaseException], ...]:
    return (Refused, *_raised_by("ray.exceptions", "AuthenticationError"))


def _of_the_network() -> tuple[type[BaseException], ...]:
    return (OSError, *_raised_by("aiohttp", "ClientError"))  # requests' errors are OSErrors


def _raised_by(module: str, name: str) -> tuple[type[BaseException], ...]:
    """Return an exception of a library; none where nobody has loaded it, so that nobody can have met it."""
    loaded = sys.modules.get(module)
    return () if loaded is None else (getattr(loaded, name),)


@contextmanager
def _no_other_address() -> Iterator[None]:
    """Hide the variables by which Ray's client would override the address it is given."""
    hidden = {name: os.environ.pop(name) for name in _ADDRESS_VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _job(details: Any) -> Job:
    state = str(getattr(details.status, "value", details.status))
    return Job(
        id=str(details.submission_id or details.job_id or ""),
        state=state,
        message=str(details.message or "").partition(", last available logs")[0].strip(),
        started_ms=_time_ms(details.start_time),
        ended_ms=_time_ms(details.end_time),
        exit_code=details.driver_exit_code if isinstance(details.driver_exit_code, int) else None,
        metadata={str(key): str(value) for key, value in dict(details.metadata or {}).items()},
    )


def _time_ms(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < _YEAR_9000_MS else None


def _in_url(job_id: str) -> str:
    """Return a job's id as a part of a path.

    Raises:
        SpecError: it cannot be one.

    """
    if job_id.strip(".") == "":
        raise SpecError(f"{job_id!r} is no job's id; `linreg-dist list` shows those there are")
    return quote(job_id, safe="")


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" .")]
    return lines[-1] if lines else type(error).__name__
