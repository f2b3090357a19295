"""The end of a job as an orchestrator sees it: its result, its one-line message, and whether to try again."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from linreg_dist.documents import ResultDocument
from linreg_dist.errors import (
    InterruptedRunError,
    LinregDistError,
    RunFailedError,
    RunInUseError,
    from_record,
    to_record,
)

RETRYABLE = frozenset({1, 4})
"""Exit codes after which the same command may be given again: it continues from the newest checkpoint."""

FINAL = frozenset({2, 3})
"""Exit codes that stay the same however often the command is given: the spec or the data must change."""

INTERRUPTED = InterruptedRunError.exit_code

MEANING = {
    0: "succeeded",
    1: "the run failed",
    2: "the spec or the call is wrong",
    3: "the data does not fit the spec",
    4: "the cluster or the storage does not answer",
    INTERRUPTED: "stopped from outside",
}
"""Every exit code in words."""


@dataclass(frozen=True)
class JobEnd:
    """How a command ended.

    Attributes:
        exit_code: of the process; a process that a signal killed has 128 and its number, as in a shell.
        document: what it printed on stdout with ``--json``; None if it came to none.
        last_text: the last line of its messages.

    """

    exit_code: int
    document: Mapping[str, Any] | None = None
    last_text: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it came to a result."""
        return self.exit_code == 0

    @property
    def retryable(self) -> bool:
        """Whether the same command may succeed if it is given again.

        True for 1 and 4, and where a signal killed the process, which leaves its checkpoints. False for 2
        and 3, and for 130, which somebody wanted.
        """
        return self.exit_code in RETRYABLE or (self.exit_code > 128 and self.exit_code != INTERRUPTED)

    @property
    def in_use(self) -> bool:
        """Whether it failed only because another driver works on the run of this name."""
        return self._error.get("type") == RunInUseError.__name__

    @property
    def message(self) -> str:
        """What went wrong, on one line; empty if nothing did."""
        if self.succeeded:
            return ""
        text = str(self._error.get("message") or self.last_text.removeprefix("Error: ") or self._of_signal)
        return " ".join(text.split())

    @property
    def result(self) -> ResultDocument:
        """The run's result.json.

        Raises:
            RunFailedError: the command succeeded and printed none.
            LinregDistError: the error that it ended with.

        """
        if not self.succeeded:
            raise self.error
        if self.document is None:
            raise RunFailedError("the command succeeded and printed no result; expected one, from --json")
        return ResultDocument.from_json(self.document)

    @property
    def error(self) -> LinregDistError:
        """The error that it ended with, of the class that its document names."""
        kind = str(self._error.get("type", ""))
        return from_record({"type": kind, "message": self.message})

    @property
    def _error(self) -> Mapping[str, Any]:
        error = (self.document or {}).get("error")
        return error if isinstance(error, Mapping) else {}

    @property
    def _of_signal(self) -> str:
        number = self.exit_code - 128
        if number in {*signal.Signals}:
            return f"the process was killed by {signal.Signals(number).name}"
        return MEANING.get(self.exit_code, f"the process ended with exit code {self.exit_code}")


def end_of(returncode: int, document: Mapping[str, Any] | None, last_text: str = "") -> JobEnd:
    """Return the end of a process by its return code as Python gives it: negative for a signal."""
    return JobEnd(128 - returncode if returncode < 0 else returncode, document, last_text)


def end_with(error: LinregDistError) -> JobEnd:
    """Return the end of a job that an error ended."""
    return JobEnd(error.exit_code, {"status": "failed", "error": to_record(error)})
