"""`JobReader`: what the job server's REST interface says of jobs, read without Ray.

Ray's own client does the same, and importing it takes longer than most of what is asked. Only what sends
something (submit, stop, a log that is followed) goes through that.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_AUTH_MODE, _TOKEN, _TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
_FIELDS = (
    "submission_id",
    "job_id",
    "status",
    "message",
    "start_time",
    "end_time",
    "driver_exit_code",
    "metadata",
)


class Refused(Exception):  # noqa: N818  # an event, which `JobServer` turns into its error
    """The server wants a token, or another one."""


class JobReader:
    """Asks a job server; its methods raise what Ray's client does.

    Args:
        address: of the server.
        token: the cluster's; by default what Ray would find in the environment.
        verify: see `JobServer`.
        timeout_s: of a request.

    Raises:
        ValueError: what answers there is no Ray.

    """

    def __init__(self, address: str, token: str | None, verify: bool | str, timeout_s: float) -> None:
        self._address, self._verify, self._timeout_s = address, verify, timeout_s
        token = token or _token_of_environment()
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            known = "ray_version" in self._get("/api/version")
        except RuntimeError as error:
            if "status code 404" not in str(error):
                raise
            known = False
        if not known:
            raise ValueError("it does not say its Ray version")

    def get_job_info(self, job_id: str) -> Any:
        """Return the fields of a job; ``job_id`` is quoted."""
        return _job(self._get(f"/api/jobs/{job_id}"))

    def list_jobs(self) -> list[Any]:
        """Return the fields of all jobs."""
        return [_job(each) for each in self._get("/api/jobs/")]

    def get_job_logs(self, job_id: str) -> str:
        """Return what a job has printed; ``job_id`` is quoted."""
        return str(self._get(f"/api/jobs/{job_id}/logs")["logs"])

    def _get(self, path: str) -> Any:
        import requests

        answer = requests.get(
            self._address + path, headers=self._headers, verify=self._verify, timeout=self._timeout_s
        )
        if answer.status_code in (401, 403):
            raise Refused(answer.text)
        if answer.status_code != 200:
            raise RuntimeError(f"Request failed with status code {answer.status_code}: {answer.text}.")
        return json.loads(answer.text)


def _job(document: dict[str, Any]) -> Any:
    return SimpleNamespace(**{name: document.get(name) for name in _FIELDS} | {"status": document["status"]})


def _token_of_environment() -> str | None:
    """Return the token that Ray takes where RAY_AUTH_MODE is token: a variable's, or a file's."""
    if os.environ.get(_AUTH_MODE, "").lower() != "token":
        return None
    if os.environ.get(_TOKEN):
        return os.environ[_TOKEN]
    try:
        given = os.environ.get(_TOKEN_PATH)
        file = Path(given) if given else Path.home() / ".ray" / "auth_token"
        return file.read_text().strip() or None
    except (OSError, RuntimeError):  # then the server says what it wants
        return None
