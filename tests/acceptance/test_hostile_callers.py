"""A real daemon among callers who wish it ill, or who are merely in a bad place at a bad moment."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from connector.client import Client, DaemonUnreachable
from connector.errors import TemporarilyUnavailable
from connector.simulator import Fault, Person, Simulator
from tests.hostile_requests import bad_keys, hostile_requests, is_refusal, statuses

from .installation import PATIENCE, Installation
from .test_api_keys import make
from .test_canary import found_in

REQUESTS = 600
SEED = 20_261_127
NOBODY = 65534
#: Tries to connect as another user; prints what comes of it.
STRANGER = """
import os, socket, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
"""


def send(port: int, request: bytes) -> bytes:
    """Send some bytes; give all that comes until the server hangs up, or waits for more."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=0.5) as connection:
        try:
            connection.sendall(request)
            while more := connection.recv(65536):
                answer += more
        except (TimeoutError, ConnectionError):
            pass  # it waits for the rest, or has hung up on what is too much
    return answer


def test_without_a_good_key_nothing_gets_in_and_nothing_gets_out(
    installation: Installation,
) -> None:
    installation.connect("ads", "acme/ads")
    daemon = installation.serve("--log-format", "json", "--debug")
    key = make(installation, "ci", "--accounts", "**", "--scope", "admin")
    text = key["Authorization"].removeprefix("Bearer ")
    token = installation.run("token", "acme/ads").stdout.strip()
    host = f"127.0.0.1:{installation.port}"
    requests = hostile_requests(REQUESTS, host=host, keys=bad_keys(text), seed=SEED)
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda one: (one, send(installation.port, one)), requests))
    told = set()
    for request, answer in answers:
        assert is_refusal(answer), (request[:500], answer[:500])
        assert found_in(answer) == {}
        told |= set(statuses(answer))
    assert told >= {400, 401, 403, 404}, "they came as far as they should"
    good = f"GET /v1/accounts/acme/ads/token HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
    answer = send(installation.port, f"{good}Authorization: Bearer {text}\r\n\r\n".encode())
    assert (statuses(answer), token.encode() in answer) == ([200], True)
    status, _, log = installation.stop(daemon)
    assert status == 0
    assert "Traceback" not in log
    assert '"level": "error"' not in log
    assert text not in log
    assert found_in(log.encode()) == {}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, so that the socket's own mode is what refuses."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
def test_another_user_cannot_connect_to_the_socket(open_folder: Path, simulator: Simulator) -> None:
    """A7: and what another user listens on is sent nothing, see `unit/test_local_daemon.py`."""
    with Installation(open_folder, simulator) as installation:
        installation.configure()
        installation.serve()
        path = open_folder / "connector.sock"
        for user, outcome in ((NOBODY, "PermissionError"), (os.getuid(), "connected")):
            done = subprocess.run(
                [sys.executable, "-c", STRANGER, str(path), str(user)],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
            )
            assert done.stdout.strip() == outcome, done.stderr


@pytest.mark.parametrize("way", ["socket", "tcp"])
def test_callers_get_whole_answers_or_none_while_the_daemon_is_killed(
    installation: Installation, simulator: Simulator, way: str
) -> None:
    """A12: whoever asks again gets the token that there was; the provider is asked by nobody."""
    installation.connect("ads", "acme/ads")
    daemon = installation.serve()
    key = make(installation, "ci", "--accounts", "**", "--scope", "token:read")
    text = key["Authorization"].removeprefix("Bearer ")
    path = installation.folder / "connector.sock"
    remote = {"url": f"http://127.0.0.1:{installation.port}", "key": text}
    client = Client(path) if way == "socket" else Client(**remote)
    is_over = threading.Event()
    values: list[str] = []
    failures: list[Exception] = []

    def ask() -> None:
        while not is_over.is_set():
            try:
                values.append(client.get_access_token("acme/ads"))
            except (DaemonUnreachable, TemporarilyUnavailable):
                is_over.wait(0.01)  # as a caller would, before it asks again
            except Exception as error:  # noqa: BLE001 - whatever else it is, it is wrong
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            wait_for_more(values, 20)
            daemon.send_signal(signal.SIGKILL)
            installation.finish(daemon)
            daemon = installation.serve()
        wait_for_more(values, 20)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        client.close()
    assert [repr(error) for error in failures] == []
    assert set(values) == {installation.run("token", "acme/ads").stdout.strip()}
    assert simulator.ledger.count("token", grant_type="refresh_token") == 0


def wait_for_more(values: list[str], count: int) -> None:
    """Wait until so many more answers have come."""
    wanted, ends_at = len(values) + count, time.monotonic() + PATIENCE
    while len(values) < wanted:
        assert time.monotonic() < ends_at, "nobody is answered"
        time.sleep(0.002)  # other threads ask


def test_a_code_is_not_sent_again_by_a_daemon_that_was_killed_with_it(
    installation: Installation, simulator: Simulator
) -> None:
    """C11: between the callback and the answer to the exchange; a new consent is begun."""
    daemon = installation.serve()
    transport = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
    wish = {"provider": "ads", "account": "acme/ads"}
    with httpx2.Client(transport=transport, base_url="http://connector") as unix:
        link = unix.post("/v1/consents", json=wish).json()["connect_url"]
    simulator.faults.add(Fault(endpoint="token", kind="hold", when="after"))
    with httpx2.Client(trust_env=False, timeout=PATIENCE) as browser:
        answer = answered(browser, link)
        assert browser.get(answer).status_code == 303
        simulator.gates["gate"].wait_until_held(timeout=PATIENCE)
        daemon.send_signal(signal.SIGKILL)
        installation.finish(daemon)
        simulator.gates["gate"].release()
        installation.serve()
        for _ in range(2):  # reloaded, as a person does who sees an error
            told = browser.get(answer, follow_redirects=True)
            assert told.status_code == 404
            assert "has been used, or has expired" in told.text
        codes = simulator.ledger.count("token", grant_type="authorization_code")
        assert codes == 1
        assert installation.run("token", "acme/ads").returncode == 3
        shown = browser.get(answered(browser, link), follow_redirects=True)
        assert "is connected" in shown.text
    assert installation.run("token", "acme/ads").returncode == 0


def answered(browser: httpx2.Client, link: str) -> str:
    """Have a person go on from a link and consent; give the redirect that is their answer."""
    led = browser.post(link)
    assert led.status_code == 303, led.text
    with Person("ada") as ada:
        return ada.consent(led.headers["location"])
