"""Which connection gives way, and which has taken too long: by a clock that the tests turn."""

import resource
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from connector.web.connections import Connections, raise_descriptor_limit, share_of


@dataclass(eq=False)
class Line:
    """A connection that notes what is done to it."""

    name: str
    is_known: bool = False
    deadline: float = 0.0
    done: list[str] = field(default_factory=list)

    def end(self) -> None:
        self.done.append("end")

    def cut(self) -> None:
        self.done.append("cut")


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connections(clock: Clock) -> Connections:
    return Connections(3, clock=clock)


def admit(connections: Connections, *names: str) -> list[Line]:
    lines = [Line(name) for name in names]
    for line in lines:
        assert connections.admit(line)
    return lines


def test_the_one_that_has_waited_longest_gives_way(connections: Connections) -> None:
    first, second, third = admit(connections, "first", "second", "third")
    admit(connections, "fourth")
    assert (first.done, second.done, third.done) == (["cut"], [], [])
    assert (len(connections), connections.displaced) == (3, 1)
    admit(connections, "fifth")
    assert (first.done, second.done) == (["cut"], ["cut"])


def test_a_stranger_gives_way_before_one_that_has_shown_a_key(connections: Connections) -> None:
    (known,) = admit(connections, "known")
    connections.work(known)
    known.is_known = True
    connections.wait(known, 30.0)
    stranger, other = admit(connections, "stranger", "other")  # though it has waited longer
    admit(connections, "fourth", "fifth")
    assert (known.done, stranger.done, other.done) == ([], ["cut"], ["cut"])


def test_one_that_is_being_answered_never_gives_way(connections: Connections) -> None:
    lines = admit(connections, "first", "second", "third")
    for line in lines:
        connections.work(line)
    assert not connections.admit(Line("fourth"))
    assert connections.refused == 1
    assert [line.done for line in lines] == [[], [], []]
    connections.wait(lines[1], 30.0)
    assert connections.admit(Line("fifth"))
    assert lines[1].done == ["cut"]


def test_one_that_has_ended_makes_room(connections: Connections) -> None:
    lines = admit(connections, "first", "second", "third")
    connections.forget(lines[1])
    connections.forget(lines[1])
    admit(connections, "fourth")
    assert [line.done for line in lines] == [[], [], []]


def test_one_that_gave_way_is_not_taken_back(connections: Connections) -> None:
    first, *_ = admit(connections, "first", "second", "third", "fourth")
    connections.wait(first, 30.0)  # its last answer was just given
    admit(connections, "fifth")
    assert first.done == ["cut"]
    assert len(connections) == 3


def test_who_takes_too_long_is_ended_and_then_again(connections: Connections, clock: Clock) -> None:
    slow, busy = admit(connections, "slow", "busy")
    connections.work(busy)
    clock.at += 9.9
    connections.sweep()
    assert slow.done == []
    clock.at += 0.2
    connections.sweep()
    connections.sweep()
    assert (slow.done, busy.done, connections.timed_out) == (["end"], [], 1)
    clock.at += 5.1
    connections.sweep()
    assert slow.done == ["end", "end"]


@pytest.fixture
def limit() -> Iterator[int]:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def test_the_limit_of_open_files_is_raised_as_far_as_it_may(limit: int) -> None:
    wanted = 4096 if limit == resource.RLIM_INFINITY else min(limit, 4096)
    assert raise_descriptor_limit() == wanted
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (wanted, limit)
    assert raise_descriptor_limit() == wanted


def test_connections_leave_files_for_everything_else(caplog: pytest.LogCaptureFixture) -> None:
    assert share_of(512, 4096) == (512, 512)
    assert not caplog.records
    tcp, unix = share_of(512, 1024)
    assert (tcp, unix) == (384, 256)
    assert "LimitNOFILE" in caplog.text
