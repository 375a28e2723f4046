"""What the service manager is told, over a real socket, and when the watchdog is silent."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.daemon.service_manager import ServiceManager
from connector.daemon.watchdog import Watchdog
from connector.errors import TemporarilyUnavailable


@pytest.fixture(params=["a path", "an abstract name"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    name = str(tmp_path / "notify")
    if request.param == "an abstract name":
        name = f"\0connector-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(name)
        made.settimeout(10)
        yield made


def address_of(listener: socket.socket) -> str:
    """Give an address as systemd writes it."""
    name = listener.getsockname()
    return f"@{name[1:].decode()}" if isinstance(name, bytes) else str(name)


def told(listener: socket.socket) -> dict[str, str]:
    lines = listener.recv(4096).decode().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_what_is_told(listener: socket.socket) -> None:
    manager = ServiceManager(address_of(listener))
    manager.ready("serving")
    assert told(listener) == {"READY": "1", "STATUS": "serving"}
    before = time.monotonic_ns() // 1000
    manager.reloading()
    reloading = told(listener)
    assert reloading["RELOADING"] == "1"
    assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    manager.stopping("bye")
    assert told(listener) == {"STOPPING": "1", "STATUS": "bye"}
    manager.pet()
    assert told(listener) == {"WATCHDOG": "1"}


def test_what_is_taken_from_the_environment(tmp_path: Path) -> None:
    """Children must not be able to speak for the daemon."""
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "s"),
        "WATCHDOG_USEC": "30000000",
        "WATCHDOG_PID": str(os.getpid()),
        "PATH": "/bin",
    }
    assert ServiceManager.take_from(environment).watchdog == 30
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "change",
    [
        {"WATCHDOG_PID": "1"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "vsock:2:1234"},
        {"NOTIFY_SOCKET": ""},
    ],
)
def test_a_watchdog_that_is_not_ours(change: dict[str, str]) -> None:
    environment = {"NOTIFY_SOCKET": "/s", "WATCHDOG_USEC": "1000000"} | change
    assert ServiceManager.take_from(environment).watchdog is None


def test_nobody_listens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ServiceManager().ready("serving")
    assert caplog.records == []
    ServiceManager(str(tmp_path / "gone")).ready("serving")
    assert [record.action for record in caplog.records] == ["service_manager.away"]  # type: ignore[attr-defined]


def test_a_manager_that_does_not_read_holds_up_nobody(listener: socket.socket) -> None:
    manager = ServiceManager(address_of(listener))
    began = time.monotonic()
    for _ in range(1000):  # more than its socket holds
        manager.pet()
    assert time.monotonic() - began < 10


class TestWatchdog:
    async def test_half_of_the_time(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        listener.settimeout(0)
        moments: list[float] = []

        async def well() -> None:
            return None

        watchdog = Watchdog(ServiceManager(address_of(listener), 0.4), well)
        task = asyncio.create_task(watchdog.run())
        for _ in range(4):
            assert await loop.sock_recv(listener, 4096) == b"WATCHDOG=1"
            moments.append(loop.time())
        task.cancel()
        assert moments[-1] - moments[0] > 0.5, "three times 0.2 s, less what the first came late"

    async def test_a_store_that_is_stuck(self, listener: socket.socket) -> None:
        """And one that is away is not stuck: tokens in memory are served on."""
        loop = asyncio.get_running_loop()
        listener.settimeout(0)
        stuck = asyncio.Event()
        asked = asyncio.Event()

        async def hang() -> None:
            asked.set()
            await stuck.wait()
            raise TemporarilyUnavailable("the database is away")

        watchdog = Watchdog(ServiceManager(address_of(listener), 0.4), hang)
        task = asyncio.create_task(watchdog.run())
        for _ in range(3):
            await asked.wait()
            asked.clear()
        with pytest.raises(BlockingIOError):
            listener.recv(4096)
        stuck.set()
        assert await loop.sock_recv(listener, 4096) == b"WATCHDOG=1"
        stuck.clear()
        watchdog.stopping()
        assert await loop.sock_recv(listener, 4096) == b"WATCHDOG=1", "the store may be closed"
        task.cancel()

    async def test_nobody_wants_to_know(self) -> None:
        async def fail() -> None:
            raise AssertionError

        await Watchdog(ServiceManager(), fail).run()
