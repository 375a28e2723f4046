"""Of what is told in quick succession the newest is told, and always."""

import itertools
import queue
import threading
import time
from collections.abc import Callable

from connector.jobs.channel import Message
from connector.jobs.newest import Newest

#: What never comes is given up after this (seconds).
PATIENCE = 10.0
#: Longer than a test (seconds).
ENDLESS = 3600.0


def make(send: Callable[[Message], None], interval: float) -> Newest:
    newest = Newest(send)
    newest.interval = interval
    return newest


def test_the_first_is_told_at_once() -> None:
    told: list[Message] = []
    make(told.append, ENDLESS).tell({"records": 1})
    assert told == [{"records": 1}]


def test_those_that_follow_at_once_wait() -> None:
    told: list[Message] = []
    newest = make(told.append, ENDLESS)
    for number in range(100):
        newest.tell({"records": number})
    assert told == [{"records": 0}]


def test_the_newest_is_told_though_nothing_follows() -> None:
    told: queue.Queue[Message] = queue.Queue()
    newest = make(told.put, 0.05)
    for number in range(100):
        newest.tell({"records": number})
    while told.get(timeout=PATIENCE) != {"records": 99}:
        pass
    assert told.empty()


def test_an_interval_lies_between_two() -> None:
    times: list[float] = []
    last = threading.Event()

    def note(message: Message) -> None:
        times.append(time.monotonic())
        if message["records"] == 9:
            last.set()

    newest = make(note, 0.03)
    for number in range(10):
        newest.tell({"records": number})
        threading.Event().wait(0.01)
    assert last.wait(PATIENCE)
    assert len(times) >= 2
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.03


def test_what_waits_when_it_is_closed_is_not_told() -> None:
    told: queue.Queue[Message] = queue.Queue()
    newest = make(told.put, 0.05)
    newest.tell({"records": 0})
    newest.tell({"records": 1})
    assert newest._thread is not None
    newest.close()
    newest._thread.join(PATIENCE)
    newest.tell({"records": 2})
    assert [told.get_nowait()["records"] for _ in range(told.qsize())] == [0]


def test_it_outlives_that_nobody_listens() -> None:
    told: queue.Queue[Message] = queue.Queue()

    def fail(message: Message) -> None:
        told.put(message)
        if message["records"] == 1:
            raise BrokenPipeError

    newest = make(fail, 0.01)
    newest.tell({"records": 0})
    newest.tell({"records": 1})
    assert [told.get(timeout=PATIENCE)["records"] for _ in range(2)] == [0, 1]
    newest.tell({"records": 2})
    assert told.get(timeout=PATIENCE) == {"records": 2}
