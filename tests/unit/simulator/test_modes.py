"""Each mode in docs/reference/simulator.md does what the page says, with the options it names."""

import base64
import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast, get_args

import httpx2
import pytest

from connector.simulator import __main__ as program
from connector.simulator.clock import Clock
from connector.simulator.faults import Kind, When
from connector.simulator.options import hints
from connector.simulator.simulator import Simulator

from .conftest import NOW, browser
from .relying_party import RelyingParty, json_of

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "simulator.md").read_text()
ROWS: list[tuple[str, str]] = re.findall(r"^\| (M\d+) \| `([^`]+)` \|", PAGE, re.MULTILINE)
SCOPES = {"scope": "openid ads_read ads_management"}


class Case:
    """A running simulator, and what a test does with it."""

    def __init__(self, simulator: Simulator, clock: Clock, http: httpx2.Client) -> None:
        self.simulator = simulator
        self.clock = clock
        self.party = RelyingParty(simulator, http)
        self.first = cast("dict[str, str]", simulator.grant("ada", scope=SCOPES["scope"]))

    def refresh(self, token: str) -> tuple[int, dict[str, str]]:
        answer = self.party.refresh(token)
        return answer.status_code, cast("dict[str, str]", json_of(answer))

    def use(self, token: str) -> str | None:
        """Refresh; give the new refresh token, or None where it is refused."""
        status, body = self.refresh(token)
        assert status == 200 or body["error"] == "invalid_grant"
        return body.get("refresh_token", token) if status == 200 else None

    def is_alive(self) -> bool:
        """Whether the grant lasts."""
        token = self.simulator.state.grants.find_refresh_token(self.old)
        return token is not None and token.grant.revoked is None

    @property
    def old(self) -> str:
        return self.first["refresh_token"]


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    words = shlex.split(request.param)
    chosen = vars(program._parser().parse_args(words))
    clock = Clock(source=lambda: NOW)
    given = {name: chosen[name] for name in hints()}
    with Simulator(program._settings(given), clock=clock) as simulator, browser() as http:
        made = Case(simulator, clock, http)
        for text in chosen["fault"]:
            simulator.faults.add(program._fault(text))
        yield made


def stays(case: Case) -> None:
    assert case.use(case.old) == case.use(case.old) == case.old


def works_once(case: Case) -> None:
    new = case.use(case.old)
    assert new not in {None, case.old}
    assert case.use(case.old) is None
    assert case.is_alive()


def ends_the_grant(case: Case) -> None:
    new = case.use(case.old)
    assert new is not None
    assert case.use(case.old) is None
    assert case.use(new) is None
    assert not case.is_alive()


def previous_only(case: Case) -> None:
    first, second = case.use(case.old), case.use(case.old)
    assert len({case.old, first, second}) == 3
    assert second is not None
    assert case.use(second) is not None
    assert case.use(case.old) is None, "it is older than the previous one"
    assert not case.is_alive()


def any_number(case: Case) -> None:
    assert len({case.use(case.old) for _ in range(5)}) == 5
    case.clock.advance(31)
    assert case.use(case.old) is None
    assert case.is_alive()


def same_answer(case: Case) -> None:
    assert case.refresh(case.old) == case.refresh(case.old)
    case.clock.advance(31)
    assert case.use(case.old) is None


def until_the_new_one_is_used(case: Case) -> None:
    new = case.use(case.old)
    case.clock.advance(1e6)
    assert case.use(case.old) is not None
    assert new is not None
    assert case.use(new) is not None
    assert case.use(case.old) is None


def old_access_token(case: Case) -> None:
    before = case.first["access_token"]
    case.use(case.old)
    if case.simulator.state.settings.old_access_token == "dies_after":
        assert case.party.is_valid(before)
        case.clock.advance(601)
    assert not case.party.is_valid(before)


def replaced_when_old(case: Case) -> None:
    assert case.use(case.old) == case.old
    case.clock.advance(86401)
    assert case.use(case.old) != case.old


def odd_status(case: Case) -> None:
    case.simulator.state.revoke("ada")
    status, body = case.refresh(case.old)
    assert (status, body["error"]) == (200, "invalid_grant")


def left_out(case: Case) -> None:
    assert set(case.first) == {"access_token", "token_type", "id_token"}


def narrower(case: Case) -> None:
    assert case.first["scope"] == "openid ads_read"


def hostile(case: Case) -> None:
    if "id_token" in case.first and case.simulator.state.settings.id_token_claims:
        payload = case.first["id_token"].split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
        assert claims["iss"] == "https://other.example"
        return
    issuer = case.simulator.issuer
    if case.simulator.state.settings.metadata_overrides:
        document = case.party.http.get(f"{issuer}/.well-known/openid-configuration").json()
        assert document["token_endpoint"] == "https://other.example/token"
        assert document["issuer"] == issuer
        return
    (fault,) = case.simulator.faults.waiting().values()
    form = {"grant_type": "refresh_token", "refresh_token": case.old}
    auth = (case.simulator.client.client_id, case.simulator.client.client_secret)
    with case.party.http.stream("POST", f"{issuer}/token", data=form, auth=auth) as answer:
        if fault.kind == "redirect":
            assert (answer.status_code, answer.headers["location"]) == (307, fault.location)
        elif fault.kind == "endless":
            size = 0
            for chunk in answer.iter_raw():
                size += len(chunk)
                if size > 4 * 1024 * 1024:
                    break
            assert size > 4 * 1024 * 1024
        else:
            text = answer.read().decode()
            assert text.startswith('{"access_token":"at_')
            assert not text.endswith("}")


DOES: dict[str, Callable[[Case], None]] = {
    "M0": stays,
    "M1": works_once,
    "M2": ends_the_grant,
    "M3": previous_only,
    "M4": any_number,
    "M5": same_answer,
    "M6": until_the_new_one_is_used,
    "M7": old_access_token,
    "M8": replaced_when_old,
    "M9": odd_status,
    "M11": left_out,
    "M12": narrower,
    "M13": hostile,
}


@pytest.mark.parametrize(
    ("mode", "case"), ROWS, indirect=["case"], ids=[f"{mode} {text[:40]}" for mode, text in ROWS]
)
def test_a_mode(mode: str, case: Case) -> None:
    DOES[mode](case)


def test_every_mode_is_on_the_page() -> None:
    assert list(dict.fromkeys(mode for mode, _ in ROWS)) == list(DOES)


def test_every_kind_of_fault_is_on_the_page() -> None:
    table = PAGE.partition("## Faults")[2]
    assert {kind for kind in get_args(Kind) if f"`{kind}`" not in table} == set()
    assert {when for when in get_args(When) if f'"{when}"' not in table} == set()


@pytest.mark.parametrize("status", [401, 403])
def test_invalid_grant_with_the_other_statuses(
    party: RelyingParty, simulator: Simulator, status: int
) -> None:
    simulator.change({"invalid_grant_status": status})
    assert party.error(party.refresh("unknown"), status) == "invalid_grant"
    assert party.error(party.redeem("unknown"), status) == "invalid_grant"
