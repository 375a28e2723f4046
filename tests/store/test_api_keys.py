"""API keys in the database."""

import pytest
from sqlalchemy import text

from connector.account_name import parse_glob
from connector.api_key import NewKey, is_secret_of, new_key, parse_key
from connector.errors import Refused
from connector.store.api_keys import ApiKeyStore
from connector.testing import SOME_TIME, Stores


@pytest.fixture
def keys(stores: Stores) -> ApiKeyStore:
    return ApiKeyStore(stores.database)


async def add(keys: ApiKeyStore, name: str = "ci", expires_at: float | None = None) -> NewKey:
    made = new_key()
    await keys.add(
        made,
        name=name,
        accounts=(parse_glob("acme/*"), parse_glob("beta")),
        scopes=frozenset({"token:read", "jobs:run"}),
        now=SOME_TIME,
        expires_at=expires_at,
    )
    return made


async def test_what_is_kept_of_a_key(keys: ApiKeyStore) -> None:
    made = await add(keys, expires_at=SOME_TIME + 60)
    (key,) = await keys.all()
    assert (key.id, key.name) == (made.id, "ci")
    assert [glob.text for glob in key.accounts] == ["acme/*", "beta"]
    assert key.scopes == {"token:read", "jobs:run"}
    assert (key.created_at, key.expires_at) == (SOME_TIME, SOME_TIME + 60)
    assert (key.revoked_at, key.last_used_at) == (None, None)
    _, secret = parse_key(made.text) or ("", "")
    assert is_secret_of(key, secret)


async def test_the_key_itself_is_not_kept(keys: ApiKeyStore, stores: Stores) -> None:
    made = await add(keys)
    _, secret = parse_key(made.text) or ("", "")
    async with stores.database.read() as connection:
        (row,) = (await connection.execute(text("SELECT * FROM api_key"))).all()
    assert secret not in repr(tuple(row))


async def test_a_name_is_given_once(keys: ApiKeyStore) -> None:
    await add(keys)
    with pytest.raises(Refused, match="there is a key ci already"):
        await add(keys)
    await keys.revoke("ci", now=SOME_TIME)
    with pytest.raises(Refused):  # who reads an old log must not take one for the other
        await add(keys)
    assert len(await keys.all()) == 1


async def test_a_key_is_revoked_once(keys: ApiKeyStore) -> None:
    await add(keys)
    await add(keys, "other")
    assert await keys.revoke("ci", now=SOME_TIME + 1)
    assert not await keys.revoke("ci", now=SOME_TIME + 2)
    revoked = {key.name: key.revoked_at for key in await keys.all()}
    assert revoked == {"ci": SOME_TIME + 1, "other": None}


async def test_an_unknown_key_names_the_nearest(keys: ApiKeyStore) -> None:
    await add(keys)
    with pytest.raises(Refused, match="no key cii; did you mean ci"):
        await keys.revoke("cii", now=SOME_TIME)
    with pytest.raises(Refused, match="no key else"):
        await keys.revoke("else", now=SOME_TIME)


async def test_when_they_were_used(keys: ApiKeyStore) -> None:
    one, two = await add(keys, "one"), await add(keys, "two")
    await keys.note_used({})
    await keys.note_used({two.id: SOME_TIME + 7, one.id: SOME_TIME + 5, "gone": SOME_TIME})
    assert {key.name: key.last_used_at for key in await keys.all()} == {
        "one": SOME_TIME + 5,
        "two": SOME_TIME + 7,
    }
