"""The rotation modes over HTTP: what each does to a used, a replayed and an old refresh token."""

import pytest

from connector.simulator.clock import Clock
from connector.simulator.ledger import Selection
from connector.simulator.opaque import fingerprint
from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .relying_party import RelyingParty, json_of

GRACE = 30.0


@pytest.fixture
def first(party: RelyingParty, ada: Person) -> str:
    """The refresh token of a fresh consent."""
    return party.tokens(ada)["refresh_token"]


def set_mode(simulator: Simulator, mode: str) -> None:
    simulator.change({"rotation": mode, "grace_seconds": GRACE})


def is_refused(party: RelyingParty, refresh_token: str) -> bool:
    response = party.refresh(refresh_token)
    if response.status_code == 200:
        return False
    assert party.error(response) == "invalid_grant"
    return True


def last_outcome(simulator: Simulator) -> str:
    return simulator.ledger.records()[-1].outcome


def test_none_keeps_the_refresh_token(
    party: RelyingParty, simulator: Simulator, first: str
) -> None:
    set_mode(simulator, "none")
    for _ in range(3):
        assert "refresh_token" not in party.refreshed(first)
        assert last_outcome(simulator) == "issued"
    simulator.change({"return_unrotated_refresh_token": True})
    assert party.refreshed(first)["refresh_token"] == first


def test_strict_refuses_a_used_one_and_leaves_the_rest(
    party: RelyingParty, simulator: Simulator, first: str
) -> None:
    set_mode(simulator, "strict")
    second = party.refreshed(first)
    assert second["refresh_token"] != first
    assert is_refused(party, first)
    assert last_outcome(simulator) == "reuse_detected"
    assert party.is_valid(second["access_token"])
    assert party.refreshed(second["refresh_token"])


def test_strict_family_ends_everything_on_reuse(
    party: RelyingParty, simulator: Simulator, first: str
) -> None:
    set_mode(simulator, "strict_family")
    second = party.refreshed(first)
    assert is_refused(party, first)
    assert last_outcome(simulator) == "reuse_detected"
    assert not party.is_valid(second["access_token"])
    assert is_refused(party, second["refresh_token"])
    assert last_outcome(simulator) == "invalid_grant"


def test_a_family_is_one_consent(
    party: RelyingParty, simulator: Simulator, first: str, ada: Person
) -> None:
    set_mode(simulator, "strict_family")
    other = party.tokens(ada)["refresh_token"]
    party.refreshed(first)
    assert is_refused(party, first)
    assert party.refreshed(other)


def test_grace_previous_takes_the_previous_one_until_its_successor_is_used(
    party: RelyingParty, simulator: Simulator, clock: Clock, first: str
) -> None:
    set_mode(simulator, "grace_previous")
    lost = party.refreshed(first)["refresh_token"]
    clock.advance(GRACE - 1)
    again = party.refreshed(first)["refresh_token"]
    assert last_outcome(simulator) == "replayed"
    assert len({first, lost, again}) == 3
    third = party.refreshed(again)
    assert last_outcome(simulator) == "issued"
    # first is no longer the previous one but older: that ends the family
    assert is_refused(party, first)
    assert last_outcome(simulator) == "reuse_detected"
    assert is_refused(party, third["refresh_token"])


def test_grace_previous_ends_the_family_after_the_grace(
    party: RelyingParty, simulator: Simulator, clock: Clock, first: str
) -> None:
    set_mode(simulator, "grace_previous")
    second = party.refreshed(first)
    clock.advance(GRACE)
    assert is_refused(party, first)
    assert not party.is_valid(second["access_token"])


def test_grace_previous_lets_racers_each_keep_what_they_got(
    party: RelyingParty, simulator: Simulator, first: str
) -> None:
    set_mode(simulator, "grace_previous")
    one, two = (party.refreshed(first)["refresh_token"] for _ in range(2))
    assert party.refreshed(one)
    assert party.refreshed(two)


def test_grace_takes_any_number_of_retries_in_time(
    party: RelyingParty, simulator: Simulator, clock: Clock, first: str
) -> None:
    set_mode(simulator, "grace")
    second = party.refreshed(first)["refresh_token"]
    party.refreshed(second)
    clock.advance(GRACE - 1)
    for _ in range(3):
        assert party.refreshed(first)["refresh_token"] not in (first, second)
        assert last_outcome(simulator) == "replayed"
    clock.advance(1)
    assert is_refused(party, first)
    assert last_outcome(simulator) == "reuse_detected"


def test_idempotent_repeats_the_answer(
    party: RelyingParty, simulator: Simulator, clock: Clock, first: str
) -> None:
    set_mode(simulator, "idempotent")
    answer = json_of(party.refresh(first))
    clock.advance(GRACE - 1)
    assert json_of(party.refresh(first)) == answer
    assert last_outcome(simulator) == "replayed"
    clock.advance(1)
    assert is_refused(party, first)
    assert party.refreshed(answer["refresh_token"])


def test_idempotent_ends_with_the_use_of_the_new_one(
    party: RelyingParty, simulator: Simulator, first: str
) -> None:
    set_mode(simulator, "idempotent")
    party.refreshed(party.refreshed(first)["refresh_token"])
    assert is_refused(party, first)


def test_lazy_keeps_the_old_one_until_the_new_one_is_used(
    party: RelyingParty, simulator: Simulator, clock: Clock, first: str
) -> None:
    set_mode(simulator, "lazy")
    second = party.refreshed(first)["refresh_token"]
    clock.advance(10_000)
    third = party.refreshed(first)["refresh_token"]
    assert last_outcome(simulator) == "replayed"
    party.refreshed(third)
    assert is_refused(party, first)
    assert party.refreshed(second)


def test_by_age_replaces_old_ones_only(
    party: RelyingParty, simulator: Simulator, clock: Clock, first: str
) -> None:
    set_mode(simulator, "by_age")
    simulator.change({"rotation_age_seconds": 1000})
    clock.advance(999)
    assert "refresh_token" not in party.refreshed(first)
    clock.advance(1)
    second = party.refreshed(first)["refresh_token"]
    assert "refresh_token" not in party.refreshed(second)
    clock.advance(GRACE - 1)
    assert party.refreshed(first)
    clock.advance(1)
    assert is_refused(party, first)


@pytest.mark.parametrize("mode", ["grace", "grace_previous", "idempotent"])
def test_no_grace_is_no_grace(
    party: RelyingParty, simulator: Simulator, first: str, mode: str
) -> None:
    simulator.change({"rotation": mode, "grace_seconds": 0})
    party.refreshed(first)
    assert is_refused(party, first)


@pytest.mark.parametrize("mode", ["strict", "strict_family", "grace", "grace_previous", "lazy"])
def test_the_mode_can_change_while_tokens_are_out(
    party: RelyingParty, simulator: Simulator, first: str, mode: str
) -> None:
    set_mode(simulator, mode)
    second = party.refreshed(first)["refresh_token"]
    set_mode(simulator, "none")
    assert is_refused(party, first)
    set_mode(simulator, "idempotent")
    assert party.refreshed(second)


# What a refresh does besides


def test_a_refresh_without_a_refresh_token_in_the_answer_keeps_the_old_one(
    party: RelyingParty, simulator: Simulator, first: str
) -> None:
    set_mode(simulator, "strict")
    simulator.change({"omit": ["refresh_token"], "return_unrotated_refresh_token": True})
    assert "refresh_token" not in party.refreshed(first)
    assert "refresh_token" not in party.refreshed(first)


@pytest.mark.parametrize(
    ("setting", "after", "is_alive"),
    [
        ("lives", 10.0, True),
        ("dies_now", 0.0, False),
        ("dies_after", 59.0, True),
        ("dies_after", 60.0, False),
    ],
)
def test_the_old_access_token(
    party: RelyingParty,
    simulator: Simulator,
    clock: Clock,
    ada: Person,
    setting: str,
    after: float,
    is_alive: bool,  # noqa: FBT001 - a table
) -> None:
    simulator.change({"old_access_token": setting, "old_access_token_seconds": 60})
    old = party.tokens(ada)
    new = party.refreshed(old["refresh_token"])
    clock.advance(after)
    assert party.is_valid(old["access_token"]) is is_alive
    assert party.is_valid(new["access_token"])


def test_a_refresh_token_can_end(
    party: RelyingParty, simulator: Simulator, clock: Clock, ada: Person
) -> None:
    simulator.change({"rotation": "none", "refresh_token_lifetime": 100})
    sliding = party.tokens(ada)["refresh_token"]
    clock.advance(99)
    party.refreshed(sliding)
    clock.advance(99)
    party.refreshed(sliding)
    clock.advance(100)
    assert is_refused(party, sliding)


def test_a_hard_end_does_not_move(
    party: RelyingParty, simulator: Simulator, clock: Clock, ada: Person
) -> None:
    simulator.change({"refresh_token_lifetime": 100, "refresh_token_expiry": "absolute"})
    token = party.tokens(ada)["refresh_token"]
    clock.advance(99)
    token = party.refreshed(token)["refresh_token"]
    simulator.change({"rotation": "none"})
    party.refreshed(token)
    clock.advance(1)
    assert is_refused(party, token)


def test_scope_may_be_narrowed_but_not_widened(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    token = party.tokens(ada, {"scope": "ads_read email"})["refresh_token"]
    wide = party.refresh(token, {"scope": "ads_read openid"})
    assert party.error(wide) == "invalid_scope"
    assert party.error(party.refresh(token, {"scope": "magic"})) == "invalid_scope"
    # neither used the token up
    narrow = json_of(party.refresh(token, {"scope": "email"}))
    assert narrow["scope"] == "email"
    # what was granted stays granted
    assert party.refreshed(narrow["refresh_token"])["scope"] == "ads_read email"
    assert simulator.ledger.count("token", outcome="invalid_scope") == 2


def test_a_refresh_token_is_bound_to_its_client(party: RelyingParty, first: str) -> None:
    response = party.post(
        "token",
        {
            "grant_type": "refresh_token",
            "refresh_token": first,
            "client_id": "connector-public",
        },
        is_public=True,
    )
    assert party.error(response) == "invalid_grant"
    assert party.refreshed(first)


def test_a_revoked_grant_says_invalid_grant(
    party: RelyingParty, simulator: Simulator, ada: Person
) -> None:
    tokens = party.tokens(ada)
    assert simulator.state.revoke("grace") == 0
    assert simulator.state.revoke("ada", reason="withdrawn on the account page") == 1
    assert simulator.state.revoke("ada") == 0
    assert is_refused(party, tokens["refresh_token"])
    assert not party.is_valid(tokens["access_token"])


def test_the_ledger_numbers_the_tokens_of_a_family(
    party: RelyingParty, simulator: Simulator, first: str
) -> None:
    second = party.refreshed(first)["refresh_token"]
    party.refreshed(second)
    records = simulator.ledger.records(Selection(grant_type="refresh_token"))
    assert [record.generation for record in records] == [0, 1]
    assert [record.refresh_token for record in records] == [
        fingerprint(first),
        fingerprint(second),
    ]
    assert len({record.family for record in records}) == 1
    assert {record.person for record in records} == {"ada"}
    assert {record.client_id for record in records} == {"connector-demo"}
    assert simulator.ledger.count("token", family=records[0].family, outcome="issued") == 3


def test_dead_access_tokens_are_swept(
    party: RelyingParty, simulator: Simulator, clock: Clock, ada: Person
) -> None:
    simulator.change({"rotation": "none", "access_token_lifetime": 10})
    tokens = party.tokens(ada)
    last = tokens
    for _ in range(70):
        clock.advance(1)
        last = party.refreshed(tokens["refresh_token"])
    grant = next(iter(simulator.state.grants))
    assert len(grant.access_tokens) < 64
    assert not party.is_valid(tokens["access_token"])
    assert party.is_valid(last["access_token"])
