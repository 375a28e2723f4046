"""What somebody, or a disk, has made of one row costs that row alone (CHECKLIST 116).

SQLite keeps any type in any column, and text that is no UTF-8.
"""

import pytest
from sqlalchemy import text

from connector.account_name import parse_glob
from connector.api_key import new_key
from connector.errors import VaultSealed
from connector.moment import rfc3339
from connector.secret import Secret
from connector.store.api_keys import ApiKeyStore
from connector.store.due import DueStore, Used
from connector.store.sealed_values import SealedValues
from connector.store.vault_keys import load_vault, make_data_key
from connector.testing import SOME_TIME, MemorySeal, Stores, connected

from .scenarios import KEY
from .test_consents import RECORD

SEALED = ("access_token_sealed", "refresh_token_sealed")
COLUMNS_OF_KEYS = (
    "name",
    "digest",
    "accounts",
    "scopes",
    "created_at",
    "expires_at",
    "revoked_at",
    "last_used_at",
)
#: In the place of a value: no UTF-8, such as ciphertext is, with a NUL, and every other type.
DAMAGES = (
    "CAST({} AS TEXT)",
    "CAST(x'80ff' AS TEXT)",
    "CAST(x'00ff' AS TEXT)",
    "''",
    "x''",
    "9e18",
    "9223372036854775807",
)


@pytest.fixture
def kind() -> str:
    return "sqlite"


async def spoil(stores: Stores, table: str, column: str, value: str, rows: str) -> None:
    statement = "UPDATE {} SET {} = {} WHERE {}"
    async with stores.database.write() as connection:
        value = value.format(column)
        await connection.execute(text(statement.format(table, column, value, rows)))


async def damage(stores: Stores, column: str, value: str) -> None:
    """Connect two accounts, and spoil a column of the first one."""
    for name in ("acme/one", "acme/two"):
        await connected(stores, name)
    await spoil(stores, "account", column, value, "name = 'acme/one'")


@pytest.mark.parametrize("value", DAMAGES)
@pytest.mark.parametrize("column", SEALED)
async def test_a_sealed_value_of_another_type_is_named(
    stores: Stores, column: str, value: str
) -> None:
    await damage(stores, column, value)
    values = SealedValues(stores.database, stores.vault)
    census = await values.census()
    ((name, reason),) = census.failures
    assert name == "acme/one"
    assert column.removesuffix("_sealed") in reason
    assert "does not open" in reason
    assert sum(census.keys.values()) == 3


@pytest.mark.parametrize("value", DAMAGES)
async def test_a_rotation_leaves_it_and_seals_all_others_anew(stores: Stores, value: str) -> None:
    await damage(stores, "access_token_sealed", value)
    await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    values = SealedValues(stores.database, stores.vault)
    before = await _types(stores)
    assert await values.reseal() == 3
    census = await values.census()
    assert dict(census.keys) == {stores.vault.current_key_id: 3}
    assert [name for name, _ in census.failures] == ["acme/one"]
    assert await _types(stores) == before
    assert before[1] == "blob"


async def _types(stores: Stores) -> list[str]:
    """Give what the column holds, as far as SQLite tells it."""
    async with stores.database.read() as connection:
        query = text("SELECT typeof(access_token_sealed) FROM account ORDER BY name")
        return list((await connection.execute(query)).scalars())


@pytest.mark.parametrize("value", DAMAGES)
async def test_its_account_alone_gives_no_token(stores: Stores, value: str) -> None:
    await damage(stores, "refresh_token_sealed", value)
    spoilt = await stores.accounts.require("acme/one")
    with pytest.raises(VaultSealed, match="account acme/one: the refresh_token of account"):
        stores.accounts.open_refresh_token(spoilt)
    assert stores.accounts.open_access_token(spoilt) == Secret("access-1")
    one, two = await stores.accounts.all()
    assert (one.name, two.name) == ("acme/one", "acme/two")
    assert stores.accounts.open_refresh_token(two) == Secret("refresh-1")


@pytest.mark.parametrize("value", DAMAGES)
async def test_what_is_due_beside_it_is_claimed(stores: Stores, value: str) -> None:
    await damage(stores, "access_token_sealed", value)
    due = DueStore(stores.database, stores.vault)
    for account in await stores.accounts.all():
        used = Used(account_id=account.id, generation=account.generation, renew_at=SOME_TIME)
        await due.note_used([used])
    claimed = {account.name: account for account in await due.claim(now=SOME_TIME + 1, limit=9)}
    assert claimed.keys() == {"acme/one", "acme/two"}
    assert stores.accounts.open_access_token(claimed["acme/two"]) == Secret("access-1")


@pytest.mark.parametrize("value", ["CAST(x'61ff62' AS TEXT)", "x'61ff62'"])
@pytest.mark.parametrize("column", ["name", "provider", "scope", "last_error", "subject_name"])
async def test_text_that_is_none_is_shown_as_far_as_it_can_be_read(
    stores: Stores, column: str, value: str
) -> None:
    await damage(stores, column, value)
    accounts = await stores.accounts.all()
    assert len(accounts) == 2
    (whole,) = (account for account in accounts if account.name == "acme/two")
    (spoilt,) = (account for account in accounts if account.id != whole.id)
    assert "a\N{REPLACEMENT CHARACTER}b" in repr(spoilt)
    failures = (await SealedValues(stores.database, stores.vault).census()).failures
    if column == "provider":  # tokens are bound to it
        assert {name for name, _ in failures} == {spoilt.name}
    else:
        assert failures == []
        assert stores.accounts.open_access_token(spoilt) == Secret("access-1")


@pytest.mark.parametrize("value", DAMAGES[1:])
async def test_a_debt_and_a_consent_cost_no_other_one(stores: Stores, value: str) -> None:
    for name in ("acme/one", "acme/two"):
        account = await connected(stores, name)
        await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
    await stores.consents.add(RECORD)
    await spoil(stores, "revocation", "tokens_sealed", value, "account = 'acme/one'")
    await spoil(stores, "consent", "request_sealed", value, "true")
    (debt,) = await stores.revocations.due(SOME_TIME)
    assert debt.account == "acme/two"
    with pytest.raises(VaultSealed, match="the request of consent"):
        await stores.consents.get(RECORD.id)
    census = await SealedValues(stores.database, stores.vault).census()
    assert {name for name, _ in census.failures} == {"acme/one", RECORD.account}


@pytest.mark.parametrize("value", DAMAGES)
async def test_a_data_key_that_is_none_is_told(stores: Stores, value: str) -> None:
    await spoil(stores, "vault_key", "wrapped", value, "true")
    with pytest.raises(VaultSealed, match="data key 1 does not open"):
        await load_vault(stores.database, MemorySeal(KEY))


@pytest.mark.parametrize("value", [*DAMAGES, "x'6162'", "'ab'", "-1e308"])
@pytest.mark.parametrize("column", COLUMNS_OF_KEYS)
async def test_a_damaged_api_key_costs_no_other_key(
    stores: Stores, column: str, value: str
) -> None:
    keys = ApiKeyStore(stores.database)
    for name in ("one", "two"):
        await keys.add(
            new_key(),
            name=name,
            accounts=(parse_glob("acme/*"),),
            scopes=frozenset({"token:read"}),
            now=SOME_TIME,
            expires_at=SOME_TIME + 60,
        )
    (whole,) = [key for key in await keys.all() if key.name == "two"]
    await spoil(stores, "api_key", column, value, "name = 'one'")
    found = {key.name: key for key in await keys.all()}
    assert found.pop("two") == whole
    (damaged,) = found.values()
    assert not (damaged.is_good(SOME_TIME) and damaged.may("admin"))
    shown = (damaged.created_at, damaged.expires_at, damaged.revoked_at, damaged.last_used_at)
    assert all(rfc3339(moment) or moment is None for moment in shown)
    if column == "expires_at" and damaged.expires_at is None:
        assert not damaged.sees("acme/ads"), "a key whose end cannot be read has come to it"
    if column == "revoked_at" and "{}" not in value:  # nothing, cast to text, is nothing
        assert not damaged.is_good(SOME_TIME)
    assert await keys.revoke("two", now=SOME_TIME)
