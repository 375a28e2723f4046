"""The ledger and the gates: races played out step by step."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2
import pytest

from connector.simulator import ledger as ledger_module
from connector.simulator.call import NO_SUBJECT, Subject
from connector.simulator.faults import Fault
from connector.simulator.gates import Gate
from connector.simulator.ledger import Ledger, Selection
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .relying_party import RelyingParty


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=16) as pool:
        yield pool


@pytest.fixture
def refresh_token(party: RelyingParty, ada: Person) -> str:
    return party.tokens(ada)["refresh_token"]


Start = Callable[[str], "Future[httpx2.Response]"]


@pytest.fixture
def start(party: RelyingParty, threads: ThreadPoolExecutor) -> Start:
    """Begin a refresh in another thread."""
    return lambda token: threads.submit(party.refresh, token)


def test_a_request_can_be_held_before_the_server_acts(
    simulator: Simulator, refresh_token: str, start: Start
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="hold"))
    gate = simulator.gates["gate"]
    refreshing = start(refresh_token)
    gate.wait_until_held()
    assert gate.held == 1
    record = simulator.ledger.records()[-1]
    assert (record.outcome, record.faults) == ("in_flight", ("hold",))
    simulator.state.revoke("ada")
    assert gate.release() == 1
    assert refreshing.result().json()["error"] == "invalid_grant"
    assert gate.release() == 0


def test_a_request_can_be_held_after_the_server_acted(
    simulator: Simulator, refresh_token: str, start: Start
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="hold", when="after", gate="answer"))
    refreshing = start(refresh_token)
    simulator.gates["answer"].wait_until_held()
    assert simulator.ledger.records()[-1].outcome == "issued"
    simulator.state.revoke("ada")
    simulator.gates["answer"].release()
    assert refreshing.result().status_code == 200


def test_other_faults_can_wait_at_a_gate_too(
    simulator: Simulator, refresh_token: str, start: Start
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="status", gate="g", status=502))
    refreshing = start(refresh_token)
    simulator.gates["g"].wait_until_held()
    simulator.gates["g"].release()
    assert refreshing.result().status_code == 502


def test_held_requests_go_on_in_the_order_they_came(
    simulator: Simulator, refresh_token: str, start: Start
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="hold", times=2))
    gate = simulator.gates["gate"]
    first = start(refresh_token)
    gate.wait_until_held(1)
    second = start(refresh_token)
    gate.wait_until_held(2)
    assert simulator.ledger.max_in_flight() == 2
    assert gate.release(1) == 1
    assert first.result().status_code == 200
    assert gate.release(5) == 1
    assert second.result().status_code == 400


def test_in_flight_is_counted_by_family(
    party: RelyingParty, simulator: Simulator, ada: Person, start: Start
) -> None:
    one, two = (party.tokens(ada)["refresh_token"] for _ in range(2))
    simulator.faults.add(Fault(endpoint="token", kind="hold", times=2))
    waiting = [start(one), start(two)]
    simulator.gates["gate"].wait_until_held(2)
    simulator.gates["gate"].release()
    assert [future.result().status_code for future in waiting] == [200, 200]
    families = [record.family for record in simulator.ledger.records()[-2:]]
    assert [simulator.ledger.max_in_flight(family) for family in families] == [1, 1]
    assert simulator.ledger.max_in_flight("another") == 0
    assert simulator.ledger.max_in_flight() == 1


def test_an_answer_that_is_being_sent_is_no_longer_in_flight(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    simulator.change({"rotation": "none"})
    token = party.tokens(ada)["refresh_token"]
    for _ in range(50):
        party.refreshed(token)
    assert simulator.ledger.max_in_flight() == 1


def test_the_outcome_is_there_as_soon_as_the_answer_is(
    simulator: Simulator, http: httpx2.Client
) -> None:
    for number in range(1, 51):
        http.get(f"{simulator.issuer}/jwks")
        assert simulator.ledger.count("jwks", outcome="ok") == number


def test_the_ledger_holds_no_secret(party: RelyingParty, simulator: Simulator, ada: Person) -> None:
    code = party.code(ada)
    tokens = party.redeem(code).json()
    refreshed = party.refreshed(tokens["refresh_token"])
    shown = repr(simulator.ledger.records())
    for secret in (
        code,
        simulator.client.client_secret,
        *(tokens[name] for name in ("access_token", "refresh_token")),
        *(refreshed[name] for name in ("access_token", "refresh_token")),
    ):
        assert secret not in shown


def test_counting_and_selecting(party: RelyingParty, simulator: Simulator, ada: Person) -> None:
    token = party.tokens(ada)["refresh_token"]
    mark = simulator.ledger.last_number
    party.refreshed(token)
    party.refresh(token)
    ledger = simulator.ledger
    assert ledger.count("token") == 3
    assert ledger.count("token", grant_type="refresh_token") == 2
    assert ledger.count("token", outcome="reuse_detected") == 1
    assert ledger.count("token", client_id="connector-demo", person="ada") == 3
    assert ledger.count("token", client_id="connector-public") == 0
    assert ledger.count(after=mark) == 2
    assert ledger.count(fault="drop") == 0
    assert ledger.counters()["token", "issued"] == 2
    assert [record.number for record in ledger.records()] == list(range(1, mark + 3))


def test_waiting_for_records(simulator: Simulator, threads: ThreadPoolExecutor) -> None:
    selection = Selection(endpoint="jwks", outcome="ok")
    waiting = threads.submit(simulator.ledger.wait_for, 2, selection)
    for _ in range(2):
        httpx2.get(f"{simulator.issuer}/jwks", trust_env=False)
    waiting.result()
    with pytest.raises(TimeoutError, match="does not have 3 records"):
        simulator.ledger.wait_for(3, selection, timeout=0.01)


def test_who_waits_gives_up_when_the_simulator_stops(
    simulator: Simulator, refresh_token: str, start: Start, threads: ThreadPoolExecutor
) -> None:
    simulator.faults.add(Fault(endpoint="token", kind="hold", times=None))
    refreshing = start(refresh_token)
    gate = simulator.gates["gate"]
    gate.wait_until_held()
    reached = threading.Event()

    def wait_for_more() -> None:
        reached.set()
        gate.wait_until_held(2)

    held = threads.submit(wait_for_more)
    arrived = threads.submit(simulator.ledger.wait_for, 1000, Selection())
    reached.wait(10)
    simulator.stop()
    for future in (held, arrived):
        with pytest.raises(TimeoutError):
            future.result()
    with pytest.raises(httpx2.RemoteProtocolError):
        refreshing.result()
    assert simulator.gates.held() == {"gate": 0}
    with pytest.raises(TimeoutError):
        simulator.gates["named too late"].wait_until_held()
    simulator.faults.clear()
    simulator.start()
    assert simulator.gates.held() == {}


async def test_an_abandoned_gate_holds_nothing() -> None:
    gate = Gate()
    gate.abandon()
    with pytest.raises(Exception, match=r"^$"):
        await gate.hold()
    with pytest.raises(TimeoutError, match="0 of 1 requests reached the gate"):
        gate.wait_until_held()


def test_a_gate_that_nobody_reaches() -> None:
    with pytest.raises(TimeoutError, match="0 of 2 requests reached the gate"):
        Gate().wait_until_held(2, timeout=0.001)


def test_old_records_make_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "MAX_RECORDS", 3)
    ledger = Ledger(now=lambda: 1.0)
    first = ledger.arrive("token", "POST", Subject(family="f"))
    for _ in range(3):
        number = ledger.arrive("token", "POST", NO_SUBJECT)
        ledger.settle(number, "issued", NO_SUBJECT)
    ledger.meet(first, "hold")
    ledger.settle(first, "issued", NO_SUBJECT)
    ledger.leave(first)
    assert [record.number for record in ledger.records()] == [2, 3, 4]
    assert ledger.counters() == {("token", "issued"): 3}
    assert ledger.last_number == 4
