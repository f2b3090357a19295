from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import AsyncGenerator, Iterator

import pytest

from linreg_dist.cluster.tail import read_stream


class Stream:
    """Pieces of text with a pause after each, and whether the stream was closed."""

    def __init__(self, pieces: Iterator[str], pause_s: float = 0.0, error: Exception | None = None) -> None:
        self._pieces, self._pause_s, self._error = pieces, pause_s, error
        self.is_closed = False

    async def read(self) -> AsyncGenerator[str, None]:
        try:
            for piece in self._pieces:
                yield piece
                await asyncio.sleep(self._pause_s)
            if self._error is not None:
                raise self._error
        finally:
            self.is_closed = True


def test_pieces_come_in_order_and_the_stream_is_closed_at_its_end() -> None:
    stream = Stream(map(str, range(3000)))
    assert list(read_stream(stream.read(), 5.0)) == [str(i) for i in range(3000)]
    assert stream.is_closed


def test_a_silent_stream_gives_signs_of_life() -> None:
    stream = Stream(iter(["a", "b"]), pause_s=0.3)
    pieces = list(read_stream(stream.read(), 0.05))
    assert [piece for piece in pieces if piece] == ["a", "b"]
    assert pieces[0] == "a"
    assert pieces[1] == ""


def test_an_error_of_the_stream_is_the_reader_s() -> None:
    stream = Stream(iter(["a"]), error=OSError("the link was cut"))
    reader = read_stream(stream.read(), 5.0)
    assert next(reader) == "a"
    with pytest.raises(OSError, match="the link was cut"):
        next(reader)


def test_a_reader_that_stops_early_closes_the_stream() -> None:
    stream = Stream(itertools.repeat("a"))
    reader = read_stream(stream.read(), 5.0)
    assert next(reader) == "a"
    reader.close()
    assert stream.is_closed


def test_an_interrupt_at_any_moment_is_an_interrupt_and_closes_the_stream() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for moment in range(100):
            stream = Stream(itertools.repeat("a"), pause_s=0.0)
            reader = read_stream(stream.read(), 5.0)
            next(reader)
            signal.setitimer(signal.ITIMER_REAL, 0.001 + moment * 1e-4)
            with pytest.raises(KeyboardInterrupt):
                for _ in reader:
                    pass
            reader.close()  # where the interrupt came between two pieces
            assert stream.is_closed
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
