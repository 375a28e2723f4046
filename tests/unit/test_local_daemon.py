"""Whom the thin client and ``connector token`` talk to: not to another user's socket."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from connector.cli import shortcut
from connector.client import Client, DaemonUnreachable, problem_error
from connector.errors import Refused, TemporarilyUnavailable, VaultSealed
from connector.local_daemon import open_socket

NOBODY: Final = 65534
#: Listens as another user (where it may become one), and tells all that it was sent.
SQUATTER: Final = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
if sys.argv[2]:
    os.setuid(int(sys.argv[2]))
listener.listen()
print("listening", flush=True)
for _ in range(int(sys.argv[3])):
    print(listener.accept()[0].recv(4096), flush=True)
"""


class Squatter:
    """Another user's process on a socket, where ours might be."""

    def __init__(self, path: Path, process: "subprocess.Popen[str]") -> None:
        self.path = path
        self._process = process

    def received(self) -> str:
        """Give what it was sent on its next connection."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture
def squatter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Squatter]:
    path = tmp_path / "connector.sock"
    user = str(NOBODY) if os.getuid() == 0 else ""
    if not user:  # it cannot be another user: then we are
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    command = [sys.executable, "-c", SQUATTER, str(path), user, "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        yield Squatter(path, process)
        process.kill()


def test_nothing_is_sent_to_another_users_socket(squatter: Squatter) -> None:
    with Client(squatter.path) as client, pytest.raises(DaemonUnreachable, match="another user"):
        client.get_token("acme/ads")
    assert squatter.received() == "b''"


def test_the_short_way_sends_nothing_to_another_users_socket(
    squatter: Squatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_SOCKET", str(squatter.path))
    assert shortcut.run(["token", "acme/ads"]) is None, "it is left to the whole command line"
    assert squatter.received() == "b''"


def test_our_own_socket_is_trusted(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "own.sock"))
        listener.listen()
        open_socket(str(tmp_path / "own.sock")).close()


@pytest.mark.skipif(os.getuid() != 0, reason="only the superuser may ask another user's daemon")
@pytest.mark.parametrize("owner", [NOBODY, 12345])
def test_the_superuser_asks_the_daemon_of_the_folders_owner(
    tmp_path: Path, squatter: Squatter, owner: int
) -> None:
    os.chown(tmp_path, owner, -1)
    if owner == NOBODY:
        open_socket(str(squatter.path)).close()
        return
    with pytest.raises(DaemonUnreachable, match="another user"):
        open_socket(str(squatter.path))


def test_where_the_kernel_does_not_tell_the_files_owner_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("_socket.SO_PEERCRED", raising=False)
    path = tmp_path / "own.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        open_socket(str(path)).close()
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        if os.getuid() == 0:
            os.chown(path, NOBODY, -1)
        with pytest.raises(DaemonUnreachable, match="another user"):
            open_socket(str(path))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, "at_secret"),
        (200, "[]"),
        (200, '{"access_token": "at_secret"}'),
        (200, '{"access_token": "at_secret", "token_type": "b", "expires_at": 1, "scope": ""}'),
        (404, "<html>at_secret"),
        (503, "null"),
    ],
)
def test_what_is_no_daemon_is_told_so(tmp_path: Path, status: int, body: str) -> None:
    """Nothing of what it said is shown (CHECKLIST 165)."""
    path = tmp_path / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                head = f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall((head + body).encode())

        thread = threading.Thread(target=answer)
        thread.start()
        with Client(path) as client, pytest.raises(DaemonUnreachable) as caught:
            client.get_token("acme/ads")
        thread.join()
    assert caught.value.__cause__ is None
    assert "at_secret" not in repr(caught.value)


def test_what_passes_is_told_as_temporary() -> None:
    """A daemon may have more to say than this client knows by name."""
    for status in (429, 503):
        error = problem_error({"type": "urn:x:later", "status": status, "retry_after": 7})
        assert isinstance(error, TemporarilyUnavailable)
        assert error.retry_at is not None
    assert isinstance(problem_error({"type": "urn:x:never", "status": 403}), Refused)
    sealed = {"type": "urn:x:vault-sealed", "status": 503, "detail": "sealed"}
    assert isinstance(problem_error(sealed), VaultSealed)
