"""How fresh a token is, at the boundaries; and that tokens are not shown."""

import copy
import dataclasses
import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.oauth.token import (
    LONGEST_DEFAULT_MIN_TTL,
    AccessToken,
    Freshness,
    TokenSet,
    default_min_ttl,
    freshness,
    refresh_margin,
)
from connector.secret import Secret

NOW = 1_800_000_000.0
CANARY = "canary-t0k3"
NANOSECOND = 1e-6  # as near as floats of this size come


@pytest.mark.parametrize(
    ("lifetime", "min_ttl", "margin"),
    [
        (None, 60.0, 0.0),
        (0.0, 0.0, 0.0),
        (300.0, 30.0, 60.0),
        (600.0, 60.0, 120.0),
        (3600.0, 60.0, 300.0),
        (5_184_000.0, 60.0, 300.0),
    ],
    ids=["unknown", "none", "five minutes", "ten minutes", "an hour", "sixty days"],
)
def test_defaults(lifetime: float | None, min_ttl: float, margin: float) -> None:
    """70: a tenth of the life, at most a minute; renewal from a fifth, at most five minutes."""
    assert default_min_ttl(lifetime) == min_ttl
    assert refresh_margin(lifetime) == margin


def test_a_provider_s_cap_of_the_margin() -> None:
    assert refresh_margin(3600.0, 60.0) == 60.0
    assert refresh_margin(3600.0, 0.0) == 0.0
    assert refresh_margin(3600.0, 10_000.0) == 720.0


@given(st.floats(1, 1e8))
def test_there_is_a_window_in_which_a_stale_token_is_served(lifetime: float) -> None:
    """The margin is twice the default min_ttl, so that refreshing behind a caller can happen."""
    assert refresh_margin(lifetime) >= 2 * default_min_ttl(lifetime)
    assert default_min_ttl(lifetime) <= LONGEST_DEFAULT_MIN_TTL


@pytest.mark.parametrize(
    ("remaining", "expected"),
    [
        (3600.0, Freshness.FRESH),
        (300.0 + NANOSECOND, Freshness.FRESH),
        (300.0, Freshness.STALE),
        (60.0, Freshness.STALE),
        (60.0 - NANOSECOND, Freshness.EXPIRED),
        (0.0, Freshness.EXPIRED),
        (-1.0, Freshness.EXPIRED),
    ],
)
def test_freshness_at_the_boundaries(remaining: float, expected: Freshness) -> None:
    assert freshness(NOW, NOW + remaining, min_ttl=60.0, margin=300.0) is expected


@pytest.mark.parametrize(
    ("remaining", "min_ttl", "margin", "expected"),
    [
        (0.0, 0.0, 0.0, Freshness.EXPIRED),
        (NANOSECOND, 0.0, 0.0, Freshness.FRESH),
        (100.0, 0.0, 100.0, Freshness.STALE),
        (100.0, 200.0, 50.0, Freshness.EXPIRED),
    ],
)
def test_freshness_without_margins(
    remaining: float, min_ttl: float, margin: float, expected: Freshness
) -> None:
    found = freshness(NOW, NOW + remaining, min_ttl=min_ttl, margin=margin)
    assert found is expected


def test_a_token_whose_end_is_unknown_is_fresh() -> None:
    """44: it is refreshed when the API says 401."""
    assert freshness(NOW, None, min_ttl=1e9, margin=1e9) is Freshness.FRESH


def test_an_access_token_shows_no_secret() -> None:
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    token = AccessToken(value=CANARY, expires_at=expires_at, scope="a b", is_short=True)
    shown = [repr(token), str(token), f"{token}", f"{token!s:>90}", f"{[token]}", ascii(token)]
    assert CANARY not in "".join(shown)
    assert "a b" in shown[0]
    with pytest.raises(TypeError):
        json.dumps(token)
    assert token.expires_in is not None
    assert 3590 < token.expires_in <= 3600


@pytest.mark.parametrize(
    ("expires_at", "expires_in"), [(None, None), (datetime(2020, 1, 1, tzinfo=UTC), 0.0)]
)
def test_what_is_left_of_an_access_token(
    expires_at: datetime | None, expires_in: float | None
) -> None:
    assert AccessToken(value="x", expires_at=expires_at).expires_in == expires_in


def test_a_token_set_shows_and_dumps_no_secret() -> None:
    tokens = TokenSet(
        access_token=Secret(CANARY),
        token_type="Bearer",
        sent_at=NOW,
        refresh_token=Secret(CANARY),
        id_token=Secret(CANARY),
        extra={"authed_user": {"access_token": CANARY}},
    )
    shown = [repr(tokens), str(tokens), f"{tokens}", repr(copy.deepcopy(tokens))]
    fields = dataclasses.asdict(tokens)
    fields.pop("extra")  # the provider's further fields, for who asks for them by name
    assert CANARY not in "".join(shown) + repr(fields)
    with pytest.raises(TypeError):
        pickle.dumps(tokens)
    with pytest.raises(TypeError):
        json.dumps(fields)
