"""An asynchronous stream of text as an ordinary iterator, which an interrupt leaves in order.

The event loop runs on a thread. On the caller's, a KeyboardInterrupt could come between any two steps of the
loop and leave it half stopped, so that closing the stream fails and hides the interrupt.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress

_PIECES_AHEAD = 1000  # a job prints faster than a terminal shows; the rest waits at the server
_CLOSES_WITHIN_S = 5.0


def read_stream(stream: AsyncGenerator[str, None], sign_every_s: float) -> Generator[str, None, None]:
    """Yield the pieces of ``stream``, and an empty text after each ``sign_every_s`` seconds without one.

    The stream is closed when the iterator is, also by an interrupt. What the stream raises is raised here.
    """
    received: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()  # None: the end
    loop = asyncio.new_event_loop()

    async def receive() -> None:
        try:
            async for piece in stream:
                received.put(piece)
                while received.qsize() > _PIECES_AHEAD:
                    await asyncio.sleep(0.05)
        finally:
            await stream.aclose()

    def run() -> None:
        ending: BaseException | None = None
        try:
            loop.run_until_complete(receiving)
        except BaseException as error:  # noqa: BLE001 (raised on the caller's thread)
            ending = error
        finally:
            received.put(ending)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    receiving = loop.create_task(receive())
    thread = threading.Thread(target=run, name="log", daemon=True)
    thread.start()
    try:
        while True:
            try:
                piece = received.get(timeout=sign_every_s)
            except queue.Empty:
                yield ""
                continue
            if piece is None:
                return
            if isinstance(piece, BaseException):
                raise piece
            yield piece
    finally:
        with suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(receiving.cancel)
        thread.join(_CLOSES_WITHIN_S)
