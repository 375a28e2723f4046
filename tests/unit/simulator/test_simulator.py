"""The simulator as a whole: its address, its starts and stops, its front page, its load."""

import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

import connector.simulator
from connector.simulator.app import is_loopback
from connector.simulator.clock import Clock
from connector.simulator.person import Person
from connector.simulator.server import ServerThread, bind
from connector.simulator.settings import Settings
from connector.simulator.simulator import NotStartedError, Simulator

from .conftest import browser
from .relying_party import RelyingParty, basic, json_of


def test_it_says_where_everything_is(simulator: Simulator) -> None:
    url = simulator.url
    assert url.startswith("http://127.0.0.1:")
    assert simulator.places() == {
        "url": url,
        "issuer": f"{url}/oauth",
        "graph_url": f"{url}/graph",
        "dialog_url": f"{url}/facebook",
        "api_url": f"{url}/api",
        "client_id": "connector-demo",
        "client_secret": "simulator-client-secret",
        "app_id": "1234567890123456",
        "app_secret": "simulator-app-secret",
        "control_url": f"{url}/control",
        "control_key": simulator.control_key,
    }


def test_what_is_registered_hides_its_secrets(simulator: Simulator) -> None:
    assert simulator.client.client_secret not in repr(simulator.client)
    assert simulator.app.app_secret not in repr(simulator.app)


def test_the_front_page_shows_no_secret(simulator: Simulator, http: httpx2.Client) -> None:
    page = http.get(f"{simulator.url}/").text
    assert simulator.issuer in page
    for secret in (simulator.client.client_secret, simulator.control_key):
        assert secret not in page


def test_it_has_no_address_before_it_starts() -> None:
    simulator = Simulator()
    with pytest.raises(NotStartedError, match="start the simulator"):
        _ = simulator.url
    simulator.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.org", "::", ""])  # noqa: S104 - refused
def test_only_loopback_is_listened_on(host: str) -> None:
    with pytest.raises(ValueError, match="is not a loopback address"):
        Simulator(host=host)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_loopback(http: httpx2.Client) -> None:
    with Simulator(host="::1") as simulator:
        assert simulator.url.startswith("http://[::1]:")
        assert http.get(f"{simulator.issuer}/jwks").status_code == 200


def test_a_stopped_simulator_is_a_server_that_is_down(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    tokens = party.tokens(ada)
    url = simulator.url
    simulator.stop()
    with pytest.raises(httpx2.ConnectError):
        party.refresh(tokens["refresh_token"])
    simulator.start()
    simulator.start()
    assert simulator.url == url
    assert party.refreshed(tokens["refresh_token"])


def test_a_taken_port_is_refused(simulator: Simulator) -> None:
    port = int(simulator.url.rpartition(":")[2])
    with pytest.raises(OSError, match="in use"):
        Simulator(port=port).start()


def test_two_simulators_know_nothing_of_each_other(
    simulator: Simulator, http: httpx2.Client
) -> None:
    with Simulator() as other:
        http.get(f"{other.issuer}/jwks")
        assert other.ledger.count("jwks") == 1
    assert simulator.ledger.count("jwks") == 0


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:8480", True),
        ("LOCALHOST:1", True),
        ("[::1]", True),
        ("[::1]:8480", True),
        ("", False),
        ("evil.example", False),
        ("evil.example:8480", False),
        ("127.0.0.1.evil.example", False),
        ("127.0.0.1:", False),
        ("127.0.0.1:x", False),
        ("localhost:80:80", False),
    ],
)
def test_hosts(host: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert is_loopback(host) is expected


def test_other_hosts_are_turned_away_everywhere(simulator: Simulator, http: httpx2.Client) -> None:
    for path in ("/", "/oauth/jwks", "/control/state", "/graph/v26.0/me"):
        response = http.get(f"{simulator.url}{path}", headers={"Host": "evil.example"})
        assert response.status_code == 421
    assert simulator.ledger.count() == 0


def test_unknown_paths_are_not_found(simulator: Simulator, http: httpx2.Client) -> None:
    for path in ("/favicon.ico", "/oauth", "/oauth/token/", "/api/none", "/control"):
        assert http.get(f"{simulator.url}{path}").status_code == 404


def test_too_long_bodies_are_refused_before_they_end(simulator: Simulator) -> None:
    host, port = simulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as peer:
        peer.sendall(
            b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000000\r\n\r\n"
        )
        peer.sendall(b"x" * 1_100_000)
        assert peer.recv(100).startswith(b"HTTP/1.1 413 ")
    assert simulator.ledger.count() == 0


def test_a_socket_that_cannot_be_served_is_told() -> None:
    listener = bind("127.0.0.1", 0)
    listener.close()

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        """Never called."""

    server = ServerThread(app, listener, on_stop=lambda: None)
    with pytest.raises(OSError, match="Bad file descriptor"):
        server.start()
    with pytest.raises(OSError, match="Bad file descriptor"):
        server.stop()


def test_a_peer_that_leaves_early_is_no_request(simulator: Simulator) -> None:
    host, port = simulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as peer:
        peer.sendall(b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx")
    with socket.create_connection((host, int(port))) as peer:
        peer.sendall(b"GET /oauth/jwks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        while peer.recv(65536):
            pass
    assert [record.endpoint for record in simulator.ledger.records()] == ["jwks"]


def test_answers_are_dated_by_the_simulated_clock(
    simulator: Simulator, clock: Clock, http: httpx2.Client
) -> None:
    url = f"{simulator.issuer}/jwks"
    assert http.get(url).headers["date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
    clock.advance(86400)
    assert http.get(url).headers["date"] == "Sat, 16 Jan 2027 08:00:00 GMT"


def test_settings_can_be_assigned(simulator: Simulator) -> None:
    simulator.settings = replace(simulator.settings, client_id="another")
    assert simulator.client.client_id == "another"
    simulator.change({"app_id": "42"})
    assert simulator.app.app_id == "42"


def test_it_serves_hundreds_of_requests_at_once(simulator: Simulator) -> None:
    simulator.change({"rotation": "none"})
    with browser() as http, Person("ada", browser=browser()) as ada:
        token = RelyingParty(simulator, http).tokens(ada)["refresh_token"]
    headers = basic(simulator.client.client_id, simulator.client.client_secret)
    form = {"grant_type": "refresh_token", "refresh_token": token}
    barrier = threading.Barrier(16)

    def refresh_often() -> set[int]:
        barrier.wait()
        with browser() as client:
            return {
                client.post(f"{simulator.issuer}/token", data=form, headers=headers).status_code
                for _ in range(40)
            }

    with ThreadPoolExecutor(max_workers=16) as threads:
        futures = [threads.submit(refresh_often) for _ in range(16)]
        assert [future.result() for future in futures] == [{200}] * 16
    assert simulator.ledger.count("token", grant_type="refresh_token", outcome="issued") == 640


def test_the_public_names_are_found_when_they_are_used() -> None:
    for name in connector.simulator.__all__:
        assert getattr(connector.simulator, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = connector.simulator.Nothing


def test_importing_the_package_imports_no_server_and_nothing_of_the_client() -> None:
    program = (
        "import sys, connector.simulator, connector.simulator.simulator as s\n"
        "import connector.simulator.person, connector.simulator.control\n"
        "names = [n for n in sys.modules if n.startswith('connector.')]\n"
        "print([n for n in names if not n.startswith('connector.simulator')])\n"
    )
    arguments = [sys.executable, "-c", program]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    lazy = "import sys, connector.simulator; print('uvicorn' in sys.modules)"
    arguments = [sys.executable, "-c", lazy]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_real_time_is_the_default() -> None:
    with Simulator(Settings(access_token_lifetime=0)) as simulator, browser() as http:
        party = RelyingParty(simulator, http)
        token = json_of(party.post("token", {"grant_type": "client_credentials"}))
        assert token["expires_in"] == 0
        assert not party.is_valid(token["access_token"])
