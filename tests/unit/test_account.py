"""What is known of a grant: pure functions of the answers and of the provider's data."""

import dataclasses

import pytest

from connector.account import (
    Account,
    Active,
    ConsentRequired,
    Grant,
    Pending,
    SealedTokens,
    State,
    Terms,
    first_terms,
    lacks_scopes,
    needed_extra,
    renewed_terms,
)
from connector.oauth.token import TokenSet
from connector.providers.provider import Lifetimes
from connector.secret import Secret

CONSENTED = 1_800_000_000.0
LATER = CONSENTED + 1000
DAY = 86_400.0


def answer(sent_at: float = LATER, **fields: object) -> TokenSet:
    known = {"access_token": Secret("at"), "token_type": "Bearer", "sent_at": sent_at}
    return TokenSet(**(known | fields))  # type: ignore[arg-type]


TERMS = Terms(
    token_type="Bearer",
    scope=("a", "b"),
    minted_at=CONSENTED,
    expires_at=CONSENTED + 3600,
    lifetime=3600.0,
    consented_at=CONSENTED,
    consent_ends_at=CONSENTED + 30 * DAY,
)


# --- expiry, CHECKLIST 44


@pytest.mark.parametrize(
    ("expires_in", "default", "known", "expected"),
    [
        (600.0, 3600.0, 1800.0, 600.0),
        (None, 3600.0, 1800.0, 3600.0),
        (None, None, 1800.0, 1800.0),
        (None, None, None, None),
        (0.0, 3600.0, 1800.0, 0.0),
    ],
    ids=["the answer's", "the provider's", "the last known", "unknown", "zero is zero"],
)
def test_an_answer_without_expires_in(
    expires_in: float | None, default: float | None, known: float | None, expected: float | None
) -> None:
    """DESIGN 5, step 3: the provider's default, else the last known, else unknown."""
    expires_at = None if expires_in is None else LATER + expires_in
    previous = dataclasses.replace(TERMS, lifetime=known)
    renewed = renewed_terms(
        previous, answer(expires_at=expires_at), Lifetimes(access_token=default)
    )
    assert renewed.lifetime == expected
    assert renewed.expires_at == (None if expected is None else LATER + expected)
    assert renewed.minted_at == LATER


@pytest.mark.parametrize(
    ("expires_in", "default", "expected"),
    [(600.0, 3600.0, 600.0), (None, 3600.0, 3600.0), (None, None, None)],
)
def test_the_first_answer_without_expires_in(
    expires_in: float | None, default: float | None, expected: float | None
) -> None:
    expires_at = None if expires_in is None else LATER + expires_in
    terms = first_terms(answer(expires_at=expires_at), (), Lifetimes(access_token=default))
    assert terms.lifetime == expected
    assert terms.expires_at == (None if expected is None else LATER + expected)
    assert (terms.minted_at, terms.consented_at) == (LATER, LATER)


# --- scope, CHECKLIST 45


@pytest.mark.parametrize(
    ("granted", "requested", "expected", "lacking"),
    [
        (None, ("a", "b"), ("a", "b"), ()),
        (None, (), None, ()),
        (("a",), ("a", "b"), ("a",), ("b",)),
        (("b", "a", "c"), ("a", "b"), ("b", "a", "c"), ()),
        ((), ("a",), (), ("a",)),
        ((), (), (), ()),
        (("A",), ("a",), ("A",), ("a",)),
    ],
)
def test_the_scope_of_a_new_grant(
    granted: tuple[str, ...] | None,
    requested: tuple[str, ...],
    expected: tuple[str, ...] | None,
    lacking: tuple[str, ...],
) -> None:
    """45: an absent scope means "as requested"; a narrower one is what was granted."""
    terms = first_terms(answer(scope=granted), requested, Lifetimes())
    assert terms.scope == expected
    assert lacks_scopes(terms, requested) == lacking


@pytest.mark.parametrize(("granted", "expected"), [(None, ("a", "b")), (("a",), ("a",)), ((), ())])
def test_the_scope_after_a_refresh(
    granted: tuple[str, ...] | None, expected: tuple[str, ...]
) -> None:
    """RFC 6749 §6: one that is not named stays."""
    assert renewed_terms(TERMS, answer(scope=granted), Lifetimes()).scope == expected


# --- the end of the consent (77)


@pytest.mark.parametrize(
    ("told_in", "hard_end", "expected"),
    [
        (None, None, None),
        (None, 90 * DAY, 90 * DAY),
        (10 * DAY, None, 10 * DAY),
        (10 * DAY, 90 * DAY, 10 * DAY),
        (100 * DAY, 90 * DAY, 90 * DAY),
    ],
)
def test_the_end_of_a_new_consent(
    told_in: float | None, hard_end: float | None, expected: float | None
) -> None:
    told = None if told_in is None else CONSENTED + told_in
    tokens = answer(CONSENTED, refresh_token=Secret("rt"), refresh_token_expires_at=told)
    terms = first_terms(tokens, (), Lifetimes(consent=hard_end, idle=5 * DAY))
    assert terms.consent_ends_at == (None if expected is None else CONSENTED + expected)


@pytest.mark.parametrize(
    ("has_refresh_token", "told_in", "hard_end", "expected"),
    [
        (False, None, None, 30 * DAY),
        (False, None, 20 * DAY, 20 * DAY),
        (False, None, 90 * DAY, 30 * DAY),
        (True, None, None, None),
        (True, None, 90 * DAY, 90 * DAY),
        (True, 60 * DAY, None, 60 * DAY),
        (True, 60 * DAY, 45 * DAY, 45 * DAY),
        (False, 60 * DAY, None, 60 * DAY),
    ],
)
def test_the_end_of_a_consent_after_a_refresh(
    *,
    has_refresh_token: bool,
    told_in: float | None,
    hard_end: float | None,
    expected: float | None,
) -> None:
    """A hard end counts from the consent, not from the refresh; an answer's own word first."""
    tokens = answer(
        refresh_token=Secret("rt") if has_refresh_token else None,
        refresh_token_expires_at=None if told_in is None else CONSENTED + told_in,
    )
    renewed = renewed_terms(TERMS, tokens, Lifetimes(consent=hard_end))
    assert renewed.consent_ends_at == (None if expected is None else CONSENTED + expected)
    assert renewed.consented_at == CONSENTED


def test_refreshing_never_moves_a_hard_end() -> None:
    terms = first_terms(answer(CONSENTED), (), Lifetimes(consent=90 * DAY))
    for week in range(1, 13):
        sent_at = CONSENTED + week * 7 * DAY
        terms = renewed_terms(terms, answer(sent_at), Lifetimes(consent=90 * DAY))
        assert terms.consent_ends_at == CONSENTED + 90 * DAY


def test_a_token_type_may_change() -> None:
    assert renewed_terms(TERMS, answer(token_type="mac"), Lifetimes()).token_type == "mac"


# --- the rest


@pytest.mark.parametrize(
    ("extra", "id_token", "kept"),
    [
        ({}, None, {}),
        ({"instance_url": "u"}, None, {"instance_url": "u"}),
        ({"instance_url": "u"}, "it", {"instance_url": "u", "id_token": "it"}),
        ({}, "", {}),
    ],
)
def test_what_is_kept_of_an_answer(
    extra: dict[str, object], id_token: str | None, kept: dict[str, object]
) -> None:
    """46: sealed with the tokens."""
    assert needed_extra(extra, id_token) == kept


GRANT = Grant(
    terms=TERMS,
    sealed=SealedTokens(access_token=b"\1", refresh_token=b"\2", extra=None),
    fingerprint="f",
)


@pytest.mark.parametrize(
    ("state", "name", "grant"),
    [
        (Pending(), "pending", None),
        (Active(grant=GRANT), "active", GRANT),
        (ConsentRequired(reason="r", since=1.0, grant=GRANT), "consent_required", GRANT),
        (ConsentRequired(reason="revoked", since=1.0), "consent_required", None),
    ],
)
def test_states(state: State, name: str, grant: Grant | None) -> None:
    account = Account(
        id="1", name="acme/fb", provider="facebook", state=state, generation=1, created_at=1.0
    )
    assert account.state_name == name
    assert account.grant == grant
