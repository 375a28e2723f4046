"""API keys: their text, their name, and what they are good for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.account_name import parse_glob
from connector.api_key import (
    SCOPES,
    ApiKey,
    check_key_name,
    is_secret_of,
    new_key,
    parse_key,
)


def some_key(*globs: str, scopes: tuple[str, ...] = ("token:read",), **more: float) -> ApiKey:
    made = new_key()
    return ApiKey(
        id=made.id,
        name="ci",
        digest=made.digest,
        accounts=tuple(map(parse_glob, globs)),
        scopes=frozenset(scopes),
        created_at=0.0,
        **more,
    )


def test_a_new_key_is_found_by_its_identifier_and_known_by_its_secret() -> None:
    made = new_key()
    parsed = parse_key(made.text)
    assert parsed is not None
    identifier, secret = parsed
    assert identifier == made.id
    assert len(secret) == 43, "256 bits"
    key = ApiKey(
        id=made.id,
        name="ci",
        digest=made.digest,
        accounts=(),
        scopes=frozenset(),
        created_at=0.0,
    )
    assert is_secret_of(key, secret)
    assert not is_secret_of(key, secret[:-1] + ("A" if secret[-1] != "A" else "B"))
    assert not is_secret_of(None, secret)
    assert not is_secret_of(None, "")


def test_no_two_are_alike_and_none_shows_its_secret() -> None:
    made = [new_key() for _ in range(100)]
    assert len({key.text for key in made}) == len({key.id for key in made}) == 100
    assert made[0].text not in repr(made[0])
    assert parse_key(made[0].text)[1] not in repr(made[0])  # type: ignore[index]


@given(st.text(max_size=80))
def test_other_text_is_no_key(text: str) -> None:
    assert parse_key(text) is None
    assert parse_key(f"ck_{text}") is None


@pytest.mark.parametrize("change", [" {}", "{}\n", "{}x", "CK{}", "{} "])
def test_a_key_is_taken_as_it_is(change: str) -> None:
    assert parse_key(change.format(new_key().text)) is None


def test_what_it_is_good_for() -> None:
    key = some_key("acme/*", "beta", scopes=("token:read", "jobs:run"))
    assert key.sees("acme/ads")
    assert key.sees("beta")
    assert not key.sees("acme/one/two")
    assert not key.sees("acme")
    assert [scope for scope in SCOPES if key.may(scope)] == ["token:read", "jobs:run"]
    assert all(some_key("**", scopes=("admin",)).may(scope) for scope in SCOPES)


def test_how_long_it_is_good() -> None:
    assert some_key("**").is_good(1e12)
    assert some_key("**", expires_at=100.0).is_good(99.9)
    assert not some_key("**", expires_at=100.0).is_good(100.0)
    assert not some_key("**", revoked_at=1.0).is_good(0.0)


@pytest.mark.parametrize("name", ["", "CI", "-ci", "ci/one", "ci one", "c" * 65, "ci\n"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a key"):
        check_key_name(name)


def test_what_is_a_name() -> None:
    assert check_key_name("ci-2.staging_x") == "ci-2.staging_x"
