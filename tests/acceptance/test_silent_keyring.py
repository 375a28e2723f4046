"""A desktop session whose keyring never answers hangs nothing (CHECKLIST 124, 126; fault V2).

The D-Bus session is a real socket, asked by the real backends of the ``keyring`` library: it takes
every connection, lets it authenticate, and answers no call, as while a prompt waits for a person.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connector.client import Client
from connector.errors import ConnectorError
from connector.time_limit import KEYRING_TIME

from .installation import Installation

#: Seconds for a process to start and end, on a machine that may be busy.
OVERHEAD = 30.0


class SilentBus:
    """A socket that takes connections and answers no call.

    Attributes:
        taken: the connections, kept open.
    """

    def __init__(self, path: Path) -> None:
        self.address = f"unix:path={path}"
        self.taken: list[socket.socket] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        try:
            while True:
                self.taken.append(self._listening.accept()[0])
                threading.Thread(target=self._admit, args=self.taken[-1:], daemon=True).start()
        except OSError:
            return  # closed

    def _admit(self, one: socket.socket) -> None:
        """Agree to the handshake of the D-Bus specification; BEGIN and calls are only read."""
        answers = {b"AUTH": b"OK 0123456789abcdef0123456789abcdef", b"NEGO": b"AGREE_UNIX_FD"}
        try:
            while received := one.recv(4096):
                for line in received.strip(b"\0").split(b"\r\n"):
                    if line[:4] in answers:
                        one.sendall(answers[line[:4]] + b"\r\n")
        except OSError:
            return  # closed

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self.taken:
            one.close()


@pytest.fixture
def bus(installation: Installation) -> Iterator[SilentBus]:
    """A session bus for every command of the installation, and a browser that tells of itself."""
    with closing(SilentBus(installation.folder / "bus")) as silent:
        browser = installation.folder / "browser"
        browser.write_text(f"#!/bin/sh\ntouch {installation.folder}/opened\n")
        browser.chmod(0o700)
        session = {"DBUS_SESSION_BUS_ADDRESS": silent.address, "BROWSER": str(browser)}
        installation.environment.pop("PYTHON_KEYRING_BACKEND", None)
        installation.environment.update(session)
        yield silent


def seal_with_keyring(installation: Installation) -> None:
    config = installation.folder / "config.toml"
    config.write_text(config.read_text().replace("file:root.key", "keyring"))


@pytest.mark.parametrize(
    "command", [("init",), ("connect", "ads", "--account", "acme/ads"), ("serve",), ("doctor",)]
)
def test_it_is_given_up_and_the_choices_are_told(
    installation: Installation, bus: SilentBus, command: tuple[str, ...]
) -> None:
    if command[0] in {"connect", "doctor"}:
        assert installation.run("init").returncode == 0
    seal_with_keyring(installation)
    began = time.monotonic()
    done = installation.run(*command)
    took = time.monotonic() - began
    assert bus.taken, "the bus was asked"
    assert done.returncode == 5, done.stderr
    told = done.stdout + done.stderr
    assert f"did not answer within {KEYRING_TIME:g} s" in told
    for choice in ("credential:", "passphrase", "file:root.key", "env:"):
        assert choice in told
    calls = 2 if command[0] == "doctor" else 1
    assert took < calls * KEYRING_TIME + OVERHEAD
    assert not (installation.folder / "opened").exists(), "no browser was opened"
    if command[0] in {"init", "serve"}:
        assert not (installation.folder / "vault.db").exists(), "no key was made elsewhere"


def test_a_daemon_that_waits_for_a_secret_serves_everybody_else(
    installation: Installation, bus: SilentBus
) -> None:
    installation.connect("ads", "acme/ads")
    installation.connect("facebook", "acme/facebook")
    config = installation.folder / "config.toml"
    config.write_text(config.read_text().replace("file:ads.secret", "keyring:connector/ads"))
    daemon = installation.serve()
    waits: list[float] = []
    failures: list[ConnectorError] = []

    def refresh() -> None:
        began = time.monotonic()
        with Client(installation.folder / "connector.sock") as client:
            try:
                client.refresh("acme/ads")
            except ConnectorError as error:
                failures.append(error)
        waits.append(time.monotonic() - began)

    asked = len(bus.taken)
    waiting = threading.Thread(target=refresh)
    waiting.start()
    while len(bus.taken) == asked and waiting.is_alive():
        time.sleep(0.01)  # what another process connects to is no event of this one
    with Client(installation.folder / "connector.sock") as client:
        began = time.monotonic()
        for _ in range(20):
            assert client.get_access_token("acme/facebook")
        took = time.monotonic() - began
    assert waiting.is_alive(), "the keyring was being waited for meanwhile"
    assert took < KEYRING_TIME / 2
    waiting.join()
    assert waits[0] < KEYRING_TIME + OVERHEAD
    assert failures, "without its secret nothing was refreshed"
    assert installation.stop(daemon)[0] == 0
