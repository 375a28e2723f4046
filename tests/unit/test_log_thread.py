"""Log lines are written in a thread: whoever does not read them stops nobody."""

import io
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest

from connector.log_thread import ThreadedHandler


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("connector", logging.INFO, "", 0, text, None, None)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def test_lines_are_written_in_their_order() -> None:
    stream = io.StringIO()
    handler = ThreadedHandler(stream)
    for number in range(100):
        handler.handle(record(f"{number}"))
    handler.close()
    assert stream.getvalue() == "".join(f"{number}\n" for number in range(100))


def test_nobody_waits_for_a_reader_and_what_was_dropped_is_told(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    with os.fdopen(writing, "w") as stream:
        handler = ThreadedHandler(stream, most=10)
        began = time.monotonic()
        for number in range(2_000):
            handler.handle(record(f"{number} {'x' * 1000}"))
        assert time.monotonic() - began < 5, "it waited for the reader"
        read: list[bytes] = []

        def drain() -> None:
            while chunk := os.read(reading, 65536):
                read.append(chunk)

        drainer = threading.Thread(target=drain)
        drainer.start()
        handler.close()
    drainer.join(10)
    lines = b"".join(read).decode().splitlines()
    assert lines[0].startswith("0 x")
    told = [line for line in lines if "lines of the log were dropped" in line]
    assert told
    dropped = sum(int(line[1:].split()[0]) for line in told)
    assert dropped + len(lines) - len(told) == 2_000


def test_the_end_is_not_held_up_for_ever(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.log_thread.CLOSING_TIME", 0.1)
    _reading, writing = pipe
    stream = os.fdopen(writing, "w")
    handler = ThreadedHandler(stream)
    for _ in range(200):
        handler.handle(record("x" * 1000))
    began = time.monotonic()
    handler.close()
    assert time.monotonic() - began < 5
    os.set_blocking(_reading, False)
    while os.read(_reading, 1 << 20):  # so that the thread comes to its end
        handler._thread.join(0.2)
        if not handler._thread.is_alive():
            break
    stream.close()


def test_a_stream_that_is_gone_stops_nobody() -> None:
    stream = io.StringIO()
    stream.close()
    handler = ThreadedHandler(stream)
    handler.handle(record("one"))
    handler.handle(record("two"))
    handler.close()
    assert not handler._thread.is_alive()
