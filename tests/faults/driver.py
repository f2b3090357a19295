"""One attempt at a job: the command in a process of its own, which can be watched, killed and waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_REPOSITORY = Path(__file__).parents[2]


class HungError(Exception):
    """Something did not end within the stated time-out."""


class Driver:
    """The process of ``linreg-dist train``, started at once.

    Args:
        command: what to run.
        log: gets what it prints; attempts of one round append to the same file.
        deadline: of `time.monotonic`, after which nothing of the round may go on.

    """

    def __init__(self, command: list[str], log: Path, deadline: float) -> None:
        self._deadline = deadline
        self._log = log.open("ab")
        path = os.pathsep.join([str(_REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"},
            start_new_session=True,  # a Ctrl-C at the suite is not one at the run
        )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait_until(self, condition: Callable[[], bool]) -> bool:
        """Return True once ``condition`` holds, False if the process ends before.

        Raises:
            HungError: neither within the time-out.

        """
        while not condition():
            if self.ended:
                return False
            if time.monotonic() > self._deadline:
                raise HungError("the moment of the fault never came")
            time.sleep(0.02)
        return True

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """Return the exit status.

        Raises:
            HungError: it has none within the time-out.

        """
        try:
            return self._process.wait(max(0.1, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise HungError("the command did not end") from error
        finally:
            self._log.close()

    def close(self) -> None:
        """Leave nothing behind."""
        if not self.ended:
            self._process.kill()
            self._process.wait()
        self._log.close()
