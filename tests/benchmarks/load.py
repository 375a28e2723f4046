"""Callers that ask a server again and again over kept connections, with as little work as can be.

They share one event loop and read no more of an answer than its status and its length, so that the
server is what is measured; how busy they were is told as well.
"""

import asyncio
import itertools
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: A path of a Unix socket, or host and port.
Address = Path | tuple[str, int]

_LENGTH: Final = b"content-length: "
PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What came of some callers' asking.

    Attributes:
        rate: answers per second.
        times: of each answer, in seconds, ascending.
        busy: the callers' own share of a processor.
    """

    rate: float
    times: Sequence[float]
    busy: float

    def percentile(self, share: float) -> float:
        """Give the time within which a share of the answers came (seconds)."""
        return self.times[min(len(self.times) - 1, int(share * len(self.times)))]


def request(path: str, key: str | None = None, *, host: str = "connector") -> bytes:
    """Give a GET request as it is sent."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}"]
    if key is not None:
        lines.append(f"Authorization: Bearer {key}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def ask_together(
    address: Address, requests: Sequence[bytes], *, callers: int, seconds: float
) -> Load:
    """Have so many callers ask at once, each the next request as soon as it has its answer.

    Args:
        address: of the server.
        requests: asked in turn.
        callers: connections.
        seconds: how long.
    """
    loop = asyncio.get_running_loop()
    turn = itertools.cycle(requests)
    made: list[_Caller] = []
    for _ in range(callers):
        maker: Callable[[], _Caller] = lambda: _Caller(turn)  # noqa: E731
        if isinstance(address, Path):
            _, caller = await loop.create_unix_connection(maker, str(address))
        else:
            _, caller = await loop.create_connection(maker, *address)
        made.append(caller)
    began, began_busy = time.perf_counter(), time.process_time()
    for caller in made:
        caller.ask()
    await asyncio.sleep(seconds)  # this is how long they ask
    took, busy = time.perf_counter() - began, time.process_time() - began_busy
    times = sorted(itertools.chain.from_iterable(caller.times for caller in made))
    for caller in made:
        caller.stop_at_next = True
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(caller.done for caller in made))
    return Load(rate=len(times) / took, times=times, busy=busy / took)


class _Caller(asyncio.Protocol):
    """Asks over one connection."""

    def __init__(self, turn: "itertools.cycle[bytes]") -> None:
        self._turn = turn
        self._data = b""
        self._asked_at = 0.0
        self._transport: asyncio.Transport | None = None
        self.times: list[float] = []
        self.stop_at_next = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def ask(self) -> None:
        """Send the next request."""
        assert self._transport is not None
        self._asked_at = time.perf_counter()
        self._transport.write(next(self._turn))

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not is_whole(self._data):
            return
        self.times.append(time.perf_counter() - self._asked_at)
        self._data = b""
        if self.stop_at_next:
            assert self._transport is not None
            self._transport.close()
        else:
            self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.stop_at_next:
            self.done.set_result(None)
        else:
            self.done.set_exception(exc or ConnectionError("the server hung up"))


def is_whole(data: bytes) -> bool:
    """Tell whether an answer has come to its end; it must be a good one."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    assert data.startswith(b"HTTP/1.1 200 "), data[:200]
    start = data.index(_LENGTH, 0, end) + len(_LENGTH)
    return len(data) >= end + 4 + int(data[start : data.index(b"\r", start)])


def ask_alone(address: Address, requests: Iterable[bytes]) -> list[float]:
    """Ask one request after the other over one kept connection; give the time of each (seconds)."""
    with connect(address) as connection:
        return [_time(connection, one) for one in requests]


def connect(address: Address) -> socket.socket:
    """Open a connection."""
    if not isinstance(address, Path):
        return socket.create_connection(address, timeout=PATIENCE)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(str(address))
    return connection


def _time(connection: socket.socket, one: bytes) -> float:
    began = time.perf_counter()
    connection.sendall(one)
    data = b""
    while not is_whole(data):
        more = connection.recv(65536)
        assert more, "the server hung up"
        data += more
    return time.perf_counter() - began
