"""A daemon under a service manager: when it says what, and when it is silent."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .installation import PATIENCE, Installation

pytestmark = pytest.mark.traced


class Manager:
    """The socket of a service manager, and what a daemon said on it."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE)
        self.path = path

    def next(self, *, but: str = "WATCHDOG") -> dict[str, str]:
        """Give what is said next, besides one thing."""
        while True:
            lines = self.socket.recv(4096).decode().splitlines()
            said = dict(line.split("=", 1) for line in lines)
            if but not in said:
                return said

    def drain(self) -> int:
        """Take all that was said; give how often all was well."""
        self.socket.settimeout(0)
        count = 0
        try:
            while True:
                count += b"WATCHDOG=1" in self.socket.recv(4096)
        except BlockingIOError:
            return count
        finally:
            self.socket.settimeout(PATIENCE)


@pytest.fixture
def manager(installation: Installation) -> Iterator[Manager]:
    made = Manager(installation.folder / "notify")
    installation.environment["NOTIFY_SOCKET"] = str(made.path)
    yield made
    made.socket.close()


def test_ready_reloading_stopping(installation: Installation, manager: Manager) -> None:
    daemon = installation.start("serve")
    assert manager.next() == {"READY": "1", "STATUS": "serving"}
    assert installation.is_listening(), "it is said when calls are served, and not before"
    for text, status in (("", "serving"), ("nonsense = 1", "refused")):
        config = installation.folder / "config.toml"
        config.write_text(f"{text}\n{config.read_text()}")
        daemon.send_signal(signal.SIGHUP)
        reloading = manager.next()
        assert reloading["RELOADING"] == "1"
        assert int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        ready = manager.next()
        assert (ready["READY"], status in ready["STATUS"]) == ("1", True)
    daemon.send_signal(signal.SIGTERM)
    assert manager.next()["STOPPING"] == "1"
    assert installation.finish(daemon)[0] == 0


def test_a_daemon_that_does_not_start_is_not_ready(
    installation: Installation, manager: Manager
) -> None:
    assert installation.run("init").returncode == 0
    (installation.folder / "root.key").write_text("00" * 32)
    assert installation.run("serve").returncode == 5
    installation.configure("[jobs.broken]")
    assert installation.run("serve").returncode == 2
    manager.socket.settimeout(0)
    with pytest.raises(BlockingIOError):
        manager.socket.recv(4096)


@pytest.mark.usefixtures("manager")
def test_a_child_cannot_speak_for_the_daemon(installation: Installation) -> None:
    installation.connect("ads", "acme/ads")
    installation.configure(
        """
        [jobs.look]
        account = "acme/*"
        schedule = "every 1s"
        jitter = "0"
        run = "look:pull"
        destination = { to = "jsonl:out.jsonl" }
        """
    )
    (installation.folder / "look.py").write_text(
        "import os\ndef pull(api, context):\n    yield [{'environment': sorted(os.environ)}]\n"
    )
    installation.environment["WATCHDOG_USEC"] = "60000000"
    daemon = installation.serve()
    out = installation.folder / "out.jsonl"
    while not out.exists() or not out.read_text().endswith("\n"):
        assert daemon.poll() is None
        time.sleep(0.02)  # polls a file that another process writes
    names = json.loads(out.read_text().splitlines()[0])["environment"]
    assert "PATH" in names
    assert {"NOTIFY_SOCKET", "WATCHDOG_USEC"}.isdisjoint(names)


class TestWatchdog:
    def test_all_is_well_until_it_stands_still(
        self, installation: Installation, manager: Manager
    ) -> None:
        installation.environment["WATCHDOG_USEC"] = "1000000"
        installation.nursery = None  # only a parent is told that a process was stopped
        daemon = installation.serve()
        for _ in range(4):
            assert "WATCHDOG" in manager.next(but="READY")
        daemon.send_signal(signal.SIGSTOP)
        wait_until_stopped(daemon)
        manager.drain()
        time.sleep(1.2)  # the service manager's patience, and a bit: it would kill now
        assert manager.drain() == 0
        daemon.send_signal(signal.SIGCONT)
        assert "WATCHDOG" in manager.next(but="READY")
        assert installation.stop(daemon)[0] == 0

    def test_a_loop_that_hangs_is_silent(
        self, installation: Installation, manager: Manager
    ) -> None:
        """Other threads go on, so that the process is not idle: the loop alone hangs."""
        (installation.folder / "sitecustomize.py").write_text(
            "import asyncio, os, time, signal\n"
            "def hang(*_):\n"
            "    while not os.path.exists('go'):\n"
            "        time.sleep(0.01)\n"
            "signal.signal(signal.SIGUSR1, hang)\n"
        )
        installation.environment |= {
            "WATCHDOG_USEC": "1000000",
            "PYTHONPATH": str(installation.folder),
        }
        daemon = installation.serve()
        assert "WATCHDOG" in manager.next(but="READY")
        daemon.send_signal(signal.SIGUSR1)
        time.sleep(0.2)  # until the signal is taken; one pet may be under way
        manager.drain()
        time.sleep(1.2)  # the service manager's patience, and a bit
        assert manager.drain() == 0
        (installation.folder / "go").touch()
        assert "WATCHDOG" in manager.next(but="READY")


def wait_until_stopped(daemon: "subprocess.Popen[str]") -> None:
    """Wait until the kernel has stopped a process."""
    result = os.waitid(os.P_PID, daemon.pid, os.WSTOPPED | os.WNOWAIT)
    assert result is not None
