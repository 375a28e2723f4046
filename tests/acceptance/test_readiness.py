"""Whether calls should be sent to a daemon: what it answers, and what a health check prints."""

import contextlib
import signal
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import httpx2
import pytest

from connector.local_daemon import DaemonUnreachable, exchange, open_socket
from connector.web.server import SHUTDOWN_TIME

from .installation import PATIENCE, Installation


@pytest.fixture
def unix(installation: Installation) -> Iterator[httpx2.Client]:
    transport = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
    with httpx2.Client(transport=transport, base_url="http://connector") as client:
        yield client


def wait_for(unix: httpx2.Client, status: int) -> httpx2.Response:
    ends_at = time.monotonic() + PATIENCE
    while (answer := unix.get("/readyz")).status_code != status:
        assert time.monotonic() < ends_at, answer.text
        time.sleep(0.02)  # polls what another process finds out
    return answer


def test_a_daemon_that_is_ready(installation: Installation, unix: httpx2.Client) -> None:
    installation.serve()
    assert wait_for(unix, 200).text == "ready\n"
    asked = installation.run("ready")
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "", "")
    config = installation.folder / "config.toml"
    config.write_text("being edited")
    assert installation.run("ready").returncode == 0


def test_no_daemon(installation: Installation) -> None:
    asked = installation.run("ready")
    assert asked.returncode == 4
    assert "no daemon listens on" in asked.stderr
    assert "start it with: connector serve" in asked.stderr
    assert "connector.sock" in asked.stderr
    config = installation.folder / "config.toml"
    config.write_text('[daemon]\nsocket = ""\n')
    asked = installation.run("ready")
    assert (asked.returncode, "daemon.socket" in asked.stderr) == (2, True)


def test_a_daemon_that_stands_still(installation: Installation) -> None:
    daemon = installation.serve()
    daemon.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    asked = installation.run("ready")
    assert asked.returncode == 4, "and it did not wait for ever"
    assert time.monotonic() - began < PATIENCE / 2
    daemon.send_signal(signal.SIGCONT)


def test_a_store_that_is_away(installation: Installation, unix: httpx2.Client) -> None:
    """It is named, within the time limit; the daemon is alive all the same."""
    installation.serve()
    wait_for(unix, 200)
    vault = installation.folder / "vault.db"
    with closing(sqlite3.connect(vault)) as other:
        other.execute("ALTER TABLE vault_key RENAME TO vault_key_away")
        answer = wait_for(unix, 503)
        assert answer.json()["type"].endswith("not-ready")
        assert answer.json()["not_ready"] == ["store"]
        assert int(answer.headers["retry-after"]) >= 1
        assert unix.get("/healthz").status_code == 200
        asked = installation.run("ready")
        assert (asked.returncode, "not ready: store" in asked.stderr) == (4, True)
        other.execute("ALTER TABLE vault_key_away RENAME TO vault_key")
    wait_for(unix, 200)


def status_of(installation: Installation, path: str, *, method: str = "GET") -> int:
    with closing(open_socket(str(installation.folder / "connector.sock"))) as connection:
        return exchange(connection, method, path, {}).status


def test_while_it_stops_it_is_not_ready_and_then_gone(installation: Installation) -> None:
    """A run that takes its time to be stopped: calls are answered meanwhile."""
    installation.connect("ads", "acme/ads")
    installation.configure(
        """
        [jobs.slow]
        account = "acme/*"
        run = "slow:pull"
        destination = { to = "jsonl:out.jsonl" }
        """
    )
    (installation.folder / "slow.py").write_text(
        "import signal, time\n"
        "def pull(api, context):\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    yield [{'n': 1}]\n"
        "    time.sleep(600)\n"
    )
    daemon = installation.serve()
    assert status_of(installation, "/v1/jobs/slow/runs", method="POST") == 202
    out = installation.folder / "out.jsonl"
    while not out.exists() or not out.read_text():
        assert daemon.poll() is None
        time.sleep(0.02)  # polls a file that another process writes
    daemon.send_signal(signal.SIGTERM)
    states: list[tuple[int, int]] = []
    with contextlib.suppress(DaemonUnreachable, OSError):
        while daemon.poll() is None:
            states.append(
                (
                    status_of(installation, "/readyz"),
                    status_of(installation, "/v1/accounts/acme/ads/token"),
                )
            )
    assert (503, 200) in states, "not ready first, and still serving"
    assert all(token == 200 for _, token in states)
    after = [ready for ready, _ in states]
    assert after == sorted(after), "once not ready, never ready again"
    assert installation.finish(daemon)[0] == 0
    assert installation.serve().poll() is None, "another one can begin at once"


def test_connections_that_say_nothing_do_not_hold_up_the_end(installation: Installation) -> None:
    """One is idle; two have sent a part of a request, and the rest never comes."""
    daemon = installation.serve()
    path = str(installation.folder / "connector.sock")
    with (
        closing(open_socket(path)) as idle,
        closing(open_socket(path)) as half,
        socket.create_connection(("127.0.0.1", installation.port)) as tcp,
    ):
        assert exchange(idle, "GET", "/healthz", {}).status == 200
        half.sendall(
            b"POST /v1/consents HTTP/1.1\r\nHost: connector\r\nContent-Length: 100\r\n\r\n{"
        )
        tcp.sendall(b"GET /healthz HTTP/1.1\r\nHo")
        assert exchange(idle, "GET", "/healthz", {}).status == 200, "the others were taken"
        began = time.monotonic()
        status, _, log = installation.stop(daemon)
        seconds = time.monotonic() - began
    assert status == 0, log
    assert seconds < 2 * SHUTDOWN_TIME, "open answers are given their time, and no more"
    assert installation.serve().poll() is None, "another one begins at once"
