"""Every kind of fault, before and after the server acts, seen from the wire."""

import gzip
import socket
import threading
from urllib.parse import urlencode

import httpx2
import pytest

from connector.simulator import effects
from connector.simulator.call import NO_SUBJECT
from connector.simulator.faults import Fault, FaultError, Faults, Kind, When, fault_from_json
from connector.simulator.ledger import Selection
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .relying_party import RelyingParty, basic, bearer, json_of


@pytest.fixture
def refresh_token(party: RelyingParty, ada: Person) -> str:
    return party.tokens(ada)["refresh_token"]


def raw_refresh(simulator: Simulator, refresh_token: str) -> socket.socket:
    """A socket on which a refresh was sent whole."""
    host, port = simulator.url.removeprefix("http://").split(":")
    body = urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token})
    header = basic(simulator.client.client_id, simulator.client.client_secret)["Authorization"]
    peer = socket.create_connection((host, int(port)), timeout=10)
    peer.sendall(
        (
            f"POST /oauth/token HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: {header}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
    )
    return peer


def read_into(received: bytearray, peer: socket.socket) -> None:
    """Read to the end; what came before an error is there as well."""
    while chunk := peer.recv(65536):
        received += chunk


def read_all(peer: socket.socket) -> bytes:
    received = bytearray()
    read_into(received, peer)
    return bytes(received)


def was_used(party: RelyingParty, refresh_token: str) -> bool:
    """Whether the server acted: under strict rotation a used token is refused."""
    return party.refresh(refresh_token).status_code != 200


BOTH = pytest.mark.parametrize(("when", "acted"), [("before", False), ("after", True)])


@BOTH
def test_drop_closes_without_a_byte(
    party: RelyingParty,
    simulator: Simulator,
    refresh_token: str,
    when: When,
    acted: bool,  # noqa: FBT001 - a table
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="drop", when=when))
    with raw_refresh(simulator, refresh_token) as peer:
        assert read_all(peer) == b""
    record = simulator.ledger.records()[-1]
    assert record.faults == ("drop",)
    assert record.outcome == ("issued" if acted else "fault:drop")
    assert record.status == (200 if acted else None)
    assert was_used(party, refresh_token) is acted


@BOTH
def test_reset_answers_with_rst(
    party: RelyingParty,
    simulator: Simulator,
    refresh_token: str,
    when: When,
    acted: bool,  # noqa: FBT001 - a table
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="reset", when=when))
    with raw_refresh(simulator, refresh_token) as peer, pytest.raises(ConnectionResetError):
        read_all(peer)
    assert was_used(party, refresh_token) is acted


@BOTH
def test_cut_sends_the_headers_and_a_part_of_the_body(
    party: RelyingParty,
    simulator: Simulator,
    refresh_token: str,
    when: When,
    acted: bool,  # noqa: FBT001 - a table
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="cut", when=when))
    with raw_refresh(simulator, refresh_token) as peer:
        head, _, body = read_all(peer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    assert len(body) == length // 2
    assert body.startswith(b'{"access_token":"')
    assert was_used(party, refresh_token) is acted


def test_cut_can_keep_a_given_part(simulator: Simulator, refresh_token: str) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="cut", when="after", keep=5))
    with raw_refresh(simulator, refresh_token) as peer:
        assert read_all(peer).endswith(b'\r\n\r\n{"acc')


def test_an_answer_that_is_cut_is_an_error_to_an_http_client(
    party: RelyingParty, simulator: Simulator, refresh_token: str
) -> None:
    kinds: tuple[Kind, ...] = ("drop", "cut")
    for kind in kinds:
        simulator.faults.add(Fault(endpoint="token", kind=kind))
        with pytest.raises(httpx2.RemoteProtocolError):
            party.refresh(refresh_token)
    simulator.faults.add(Fault(endpoint="token", kind="reset"))
    with pytest.raises(httpx2.ReadError):
        party.refresh(refresh_token)


@BOTH
def test_status_replaces_the_answer(
    party: RelyingParty,
    simulator: Simulator,
    refresh_token: str,
    when: When,
    acted: bool,  # noqa: FBT001 - a table
) -> None:
    simulator.faults.add(
        Fault(
            endpoint="token",
            kind="status",
            when=when,
            status=429,
            retry_after="3600",
            body="slow down",
            content_type="text/plain",
            headers={"X-Reason": "quota"},
        )
    )
    response = party.refresh(refresh_token)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "3600"
    assert response.headers["x-reason"] == "quota"
    assert response.text == "slow down"
    assert was_used(party, refresh_token) is acted


def test_status_is_503_by_default(
    party: RelyingParty, simulator: Simulator, refresh_token: str
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="status"))
    response = party.refresh(refresh_token)
    assert (response.status_code, response.content) == (503, b"")


@pytest.mark.parametrize(
    ("kind", "body", "content_type"),
    [
        ("html", effects.HTML_BODY, "text/html; charset=utf-8"),
        ("array", '[{"access_token":"made-up-by-a-fault"}]', "application/json"),
        ("null", "null", "application/json"),
        ("falsify", '{"ok":false}', "application/json"),
    ],
)
def test_bodies_that_are_no_answer(
    party: RelyingParty,
    simulator: Simulator,
    refresh_token: str,
    kind: Kind,
    body: str,
    content_type: str,
) -> None:
    given = body if kind == "falsify" else None
    simulator.faults.add(Fault(endpoint="token", kind=kind, when="after", body=given))
    response = party.refresh(refresh_token)
    assert response.status_code == 200
    assert response.text == body
    assert response.headers["content-type"] == content_type
    assert was_used(party, refresh_token)


def test_truncated_json_has_the_real_token_inside(
    party: RelyingParty, simulator: Simulator, refresh_token: str
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="truncate", when="after", keep=70))
    response = party.refresh(refresh_token)
    assert response.status_code == 200
    assert len(response.content) == 70
    token = response.text.removeprefix('{"access_token":"').split('"')[0]
    assert party.is_valid(token)
    simulator.faults.add(Fault(endpoint="token", kind="truncate"))
    half = len(effects.MADE_UP_BODY) // 2
    assert party.refresh("x").content == effects.MADE_UP_BODY[:half]


@pytest.mark.parametrize("status", [None, 301, 302, 303, 307, 308])
def test_redirects_point_where_they_are_told(
    party: RelyingParty, simulator: Simulator, refresh_token: str, status: int | None
) -> None:
    location = "https://evil.example/token"
    simulator.faults.add(Fault(endpoint="token", kind="redirect", status=status, location=location))
    response = party.refresh(refresh_token)
    assert response.status_code == (status or 302)
    assert response.headers["location"] == location


def test_an_endless_answer_ends_with_its_reader(
    party: RelyingParty, simulator: Simulator, http: httpx2.Client, refresh_token: str
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="endless"))
    received = 0
    with http.stream("POST", f"{simulator.issuer}/token", data={"a": "b"}) as response:
        for chunk in response.iter_bytes():
            received += len(chunk)
            if received > 5_000_000:
                break
    assert received > 5_000_000
    assert party.refreshed(refresh_token)


def test_an_endless_answer_does_not_outlive_the_simulator(
    simulator: Simulator, refresh_token: str
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="endless"))
    with raw_refresh(simulator, refresh_token) as peer:
        assert peer.recv(10)
        simulator.stop()


def test_a_drip_brings_the_whole_answer_slowly(
    party: RelyingParty, simulator: Simulator, refresh_token: str
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="drip", when="after", interval=0))
    assert "access_token" in json_of(party.refresh(refresh_token))
    simulator.faults.add(Fault(endpoint="token", kind="drip", interval=0))
    assert party.refresh("x").content == effects.MADE_UP_BODY


def test_a_drip_ends_with_its_reader(
    party: RelyingParty, simulator: Simulator, refresh_token: str
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="drip", interval=0.001))
    with raw_refresh(simulator, refresh_token) as peer:
        assert peer.recv(10)
    assert party.refreshed(refresh_token)


def test_a_drip_does_not_outlive_the_simulator(simulator: Simulator, refresh_token: str) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="drip", interval=3600))
    with raw_refresh(simulator, refresh_token) as peer:
        assert peer.recv(10)
        simulator.stop()
        assert b"made-up" not in read_all(peer)


def test_a_gzip_bomb_is_small_on_the_wire(simulator: Simulator, http: httpx2.Client) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="gzip_bomb"))
    unpacked = 0
    with http.stream("POST", f"{simulator.issuer}/token", data={"a": "b"}) as response:
        assert response.headers["content-encoding"] == "gzip"
        assert int(response.headers["content-length"]) < 1_000_000
        for chunk in response.iter_bytes():
            unpacked += len(chunk)
            if unpacked > 50_000_000:
                break
    assert unpacked > 50_000_000


def test_a_gzip_bomb_is_true_gzip() -> None:
    assert gzip.decompress(effects.gzip_bomb(3)) == b" " * 3 * effects.MEBIBYTE


def test_a_delay_puts_the_answer_off(
    party: RelyingParty, simulator: Simulator, refresh_token: str
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="delay", delay=0.01))
    assert party.refreshed(refresh_token)
    assert simulator.ledger.records()[-1].faults == ("delay",)


def test_a_delay_does_not_outlive_the_simulator(simulator: Simulator, refresh_token: str) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="delay", delay=3600))
    with raw_refresh(simulator, refresh_token) as peer:
        simulator.ledger.wait_for(1, Selection(fault="delay"))
        simulator.stop()
        assert read_all(peer) == b""


# Which requests a fault meets


def test_faults_queue_one_per_request(
    party: RelyingParty, simulator: Simulator, refresh_token: str
) -> None:
    for status, times in ((500, 2), (502, 1)):
        simulator.faults.add(Fault(endpoint="token", kind="status", status=status, times=times))
    statuses = [party.refresh(refresh_token).status_code for _ in range(4)]
    assert statuses == [500, 500, 502, 200]
    assert simulator.faults.waiting() == {}


def test_a_fault_may_last_until_cleared(
    party: RelyingParty, simulator: Simulator, refresh_token: str
) -> None:
    number = simulator.faults.add(Fault(endpoint="*", kind="status", status=500, times=None))
    other = simulator.faults.add(Fault(endpoint="revoke", kind="drop"))
    assert [party.refresh(refresh_token).status_code for _ in range(3)] == [500] * 3
    assert simulator.faults.clear(number) == 1
    assert simulator.faults.clear(number) == 0
    assert set(simulator.faults.waiting()) == {other}
    assert party.refreshed(refresh_token)
    assert simulator.faults.clear() == 1
    assert simulator.faults.clear() == 0


def test_a_request_meets_one_fault_before_and_one_after(
    party: RelyingParty, simulator: Simulator, refresh_token: str
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="delay"))
    simulator.faults.add(Fault(endpoint="token", kind="status", when="after", status=504))
    assert party.refresh(refresh_token).status_code == 504
    record = simulator.ledger.records()[-1]
    assert record.faults == ("delay", "status")
    assert record.outcome == "issued"


def test_a_fault_can_be_for_a_grant_type(
    party: RelyingParty, simulator: Simulator, refresh_token: str
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="drop", grant_type="authorization_code"))
    assert party.refreshed(refresh_token)
    assert len(simulator.faults.waiting()) == 1


def test_a_fault_can_be_for_a_person(
    party: RelyingParty, simulator: Simulator, ada: Person, grace: Person
) -> None:
    hers, theirs = party.tokens(ada), party.tokens(grace)
    simulator.faults.add(Fault(endpoint="*", kind="status", person="grace", times=None))
    assert party.is_valid(hers["access_token"])
    assert not party.is_valid(theirs["access_token"])
    assert party.refreshed(hers["refresh_token"])
    assert party.refresh(theirs["refresh_token"]).status_code == 503
    assert simulator.ledger.count(outcome="fault:status", person="grace") == 2


def test_faults_meet_every_endpoint(simulator: Simulator, http: httpx2.Client) -> None:
    simulator.faults.add(Fault(endpoint="*", kind="status", status=500, times=None))
    for path in (
        "/.well-known/oauth-authorization-server/oauth",
        "/oauth/authorize",
        "/oauth/jwks",
        "/api/me",
        "/facebook/v26.0/dialog/oauth",
        "/graph/v26.0/me",
    ):
        assert http.get(f"{simulator.url}{path}").status_code == 500


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"endpoint": "token"}, "kind is missing"),
        ({"kind": "drop"}, "endpoint is missing"),
        ({"endpoint": "token", "kind": "sulk"}, "kind must be one of delay, hold"),
        ({"endpoint": "token", "kind": 5}, "kind has the wrong type"),
        ({"endpoint": "token", "kind": "drop", "when": "during"}, "when must be before or"),
        ({"endpoint": "token", "kind": "drop", "times": 0}, "times must be at least 1"),
        ({"endpoint": "token", "kind": "drop", "times": True}, "times has the wrong type"),
        ({"endpoint": "token", "kind": "drop", "skip": -1}, "skip must not be below zero"),
        ({"endpoint": "token", "kind": "drop", "skip": None}, "skip has the wrong type"),
        ({"endpoint": "token", "kind": "drop", "delay": -1}, "delay and interval must not"),
        ({"endpoint": "token", "kind": "status", "status": 99}, "status must be a final"),
        ({"endpoint": "token", "kind": "redirect"}, "redirect needs a location"),
        ({"endpoint": "token", "kind": "drop", "color": "red"}, "no member 'color' in a fault"),
        ({"endpoint": "token", "kind": "drop", "headers": []}, "headers has the wrong type"),
    ],
)
def test_faults_that_cannot_be_carried_out(fault: dict[str, object], problem: str) -> None:
    with pytest.raises(FaultError, match=problem):
        fault_from_json(fault)


def test_faults_are_taken_once_by_many_threads() -> None:
    faults = Faults()
    faults.add(Fault(endpoint="token", kind="drop", times=100))
    taken: list[Fault] = []

    def take() -> None:
        for _ in range(50):
            fault = faults.take("token", "before", NO_SUBJECT)
            if fault is not None:
                taken.append(fault)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 100


# Pulls that go wrong in their middle


def me(simulator: Simulator, http: httpx2.Client, token: object) -> int:
    """The status of a call to the API."""
    return http.get(f"{simulator.api_url}/me", headers=bearer(token)).status_code


def test_a_fault_may_wait_for_its_turn(simulator: Simulator, http: httpx2.Client) -> None:
    token = simulator.grant("ada")["access_token"]
    simulator.faults.add(Fault(endpoint="api_me", kind="status", status=502, skip=1, times=2))
    assert [me(simulator, http, token) for _ in range(4)] == [200, 502, 502, 200]
    assert simulator.faults.waiting() == {}


def test_a_fault_that_waits_lets_the_next_one_through(
    simulator: Simulator, http: httpx2.Client
) -> None:
    token = simulator.grant("ada")["access_token"]
    simulator.faults.add(Fault(endpoint="api_*", kind="status", status=500, skip=1))
    simulator.faults.add(Fault(endpoint="api_*", kind="status", status=503))
    assert [me(simulator, http, token) for _ in range(3)] == [503, 500, 200]


def test_a_token_may_end_at_a_call(
    simulator: Simulator, http: httpx2.Client, party: RelyingParty
) -> None:
    answer, other = simulator.grant("ada"), simulator.grant("ada")["access_token"]
    simulator.faults.add(Fault(endpoint="api_*", kind="expire_token", skip=1))
    token = answer["access_token"]
    assert [me(simulator, http, token) for _ in range(3)] == [200, 401, 401]
    assert me(simulator, http, other) == 200, "it is of another family"
    renewed = party.refreshed(answer["refresh_token"])["access_token"]
    assert me(simulator, http, renewed) == 200
    assert simulator.ledger.count("api_me", fault="expire_token", outcome="invalid_token") == 1


def test_a_token_may_end_with_the_answer(simulator: Simulator, http: httpx2.Client) -> None:
    token = simulator.grant("ada")["access_token"]
    simulator.faults.add(Fault(endpoint="api_*", kind="expire_token", when="after"))
    assert [me(simulator, http, token) for _ in range(2)] == [200, 401]
    simulator.faults.add(Fault(endpoint="api_*", kind="expire_token"))
    assert me(simulator, http, "unknown") == 401


@BOTH
def test_tear_resets_in_the_middle_of_the_body(
    party: RelyingParty,
    simulator: Simulator,
    refresh_token: str,
    when: When,
    acted: bool,  # noqa: FBT001 - a table
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="tear", when=when, keep=20))
    received = bytearray()
    with raw_refresh(simulator, refresh_token) as peer, pytest.raises(ConnectionResetError):
        read_into(received, peer)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert len(received.partition(b"\r\n\r\n")[2]) == 20
    assert was_used(party, refresh_token) is acted
    simulator.faults.add(Fault(endpoint="token", kind="tear"))
    with pytest.raises(httpx2.ReadError):
        party.refresh(refresh_token)
