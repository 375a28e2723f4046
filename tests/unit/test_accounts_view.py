import dataclasses

import pytest

from connector.account import (
    Account,
    Active,
    ConsentRequired,
    Grant,
    Pending,
    SealedTokens,
    Terms,
    Trouble,
)
from connector.accounts_view import account_view
from connector.moment import rfc3339

NOW = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


def an_account() -> Account:
    terms = Terms(
        token_type="Bearer",
        scope=("ads_read", "ads_management"),
        minted_at=NOW,
        expires_at=NOW + 3600,
        lifetime=3600,
        consented_at=NOW,
        consent_ends_at=NOW + 90 * 86_400,
    )
    sealed = SealedTokens(access_token=b"sealed-1", refresh_token=b"sealed-2", extra=None)
    return Account(
        id="1",
        name="acme/ads",
        provider="acme",
        state=Active(grant=Grant(terms=terms, sealed=sealed, fingerprint="f")),
        generation=1,
        created_at=NOW,
    )


def test_pending() -> None:
    view = account_view(dataclasses.replace(an_account(), state=Pending()))
    assert view == {
        "account": "acme/ads",
        "provider": "acme",
        "state": "pending",
        "scope": None,
        "access_token_expires_at": None,
        "consent_ends_at": None,
        "last_error": None,
    }


def test_active() -> None:
    assert account_view(an_account()) == {
        "account": "acme/ads",
        "provider": "acme",
        "state": "active",
        "scope": "ads_read ads_management",
        "access_token_expires_at": "2027-01-15T09:00:00Z",
        "consent_ends_at": "2027-04-15T08:00:00Z",
        "last_error": None,
    }


def test_in_trouble() -> None:
    trouble = Trouble(message="HTTP 503", since=0, failures=1, retry_at=1)
    assert account_view(dataclasses.replace(an_account(), trouble=trouble))["last_error"] == (
        "HTTP 503"
    )


def test_ended() -> None:
    account = an_account()
    ended = ConsentRequired(reason="rotation lost", since=1, grant=account.grant)
    view = account_view(dataclasses.replace(account, state=ended))
    assert view["state"] == "consent_required"
    assert view["scope"] == "ads_read ads_management", "what the person consented to"
    assert view["access_token_expires_at"] is None
    assert view["consent_ends_at"] is None
    assert view["last_error"] == "rotation lost"


def test_shows_no_token() -> None:
    assert "sealed" not in str(account_view(an_account()))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, None), (0, "1970-01-01T00:00:00Z"), (1_800_000_000.9, "2027-01-15T08:00:00Z")],
)
def test_rfc3339(seconds: float | None, text: str | None) -> None:
    assert rfc3339(seconds) == text
