"""The program of a reader: take a task, then apply it to one row group after another."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from typing import Any

from linreg_dist.data.readers.wire import ClosedError, receive, send
from linreg_dist.errors import LinregDistError, to_record

BEAT_S = 2.0


def main(parent: int) -> None:
    """Serve the caller until its end of the pipe is closed, or it is gone.

    Args:
        parent: the caller's process id.

    """
    # An interrupt from the keyboard reaches all processes of a terminal; the caller decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers, questions = os.dup(1), os.dup(0)
    os.dup2(2, 1)  # whatever a library prints is no answer
    sending = threading.Lock()

    def answer(kind: str, content: Any) -> None:
        with sending:
            send(answers, (kind, content))

    def beat() -> None:
        """Say that this process is alive, and end it when nobody is there to hear it."""
        while True:
            time.sleep(BEAT_S)
            try:
                if os.getppid() != parent:
                    raise ClosedError
                answer("beat", None)
            except ClosedError:
                os._exit(1)

    threading.Thread(target=beat, daemon=True).start()
    try:
        _serve(questions, answer)
    except ClosedError:
        os._exit(0)


def _serve(questions: int, answer: Any) -> None:
    import pyarrow as pa

    from linreg_dist.data.readers import decode

    pa.set_cpu_count(1)
    function = None
    while True:
        kind, content = receive(questions)
        try:
            if kind == "task":
                function = content.open()
                answer("ready", None)
            elif function is not None:
                index, is_again = content
                decode.enable(is_on=not is_again)
                answer("done", function(index))
        except ClosedError:
            raise
        except LinregDistError as error:
            answer("failed", (to_record(error), error.alone))
        except MemoryError:
            os._exit(os.EX_OSERR)  # as if the kernel had ended it: with the others gone there may be room
        except Exception:  # noqa: BLE001  # the caller raises it, with this traceback
            answer("broken", traceback.format_exc())
