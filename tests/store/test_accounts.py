import difflib
import threading
from difflib import get_close_matches

import pytest
from sqlalchemy import insert, select, text, update

from connector.errors import UnknownAccount, VaultSealed
from connector.secret import Secret
from connector.store.tables import ACCOUNT
from connector.testing import SOME_TIME, Stores, connected, some_tokens

from .worker import Crew


async def test_a_new_account_is_pending(stores: Stores) -> None:
    account = await stores.accounts.begin("acme/one", "acme", now=SOME_TIME)
    assert account.state_name == "pending"
    assert account.grant is None
    assert (account.provider, account.generation) == ("acme", 0)
    assert account == await stores.accounts.require("acme/one")


async def test_a_second_begin_leaves_an_account_as_it_is(stores: Stores) -> None:
    active = await connected(stores, "acme/one")
    again = await stores.accounts.begin("acme/one", "another provider", now=SOME_TIME + 1)
    assert again == active


async def test_processes_that_begin_an_account_at_once_get_the_same_one(
    stores: Stores, workers: Crew, address: str
) -> None:
    ids = workers.run("begin_account", [{"url": address, "name": "acme/one"}] * 6)
    assert len(set(ids)) == 1
    assert [account.id for account in await stores.accounts.all()] == ids[:1]


async def test_accounts_come_by_name(stores: Stores) -> None:
    for name in ("b", "acme/two", "a", "acme/one"):
        await stores.accounts.begin(name, "acme", now=SOME_TIME)
    names = [account.name for account in await stores.accounts.all()]
    assert names == ["a", "acme/one", "acme/two", "b"]


async def test_an_unknown_account_names_the_nearest(stores: Stores) -> None:
    await stores.accounts.begin("acme/facebook", "acme", now=SOME_TIME)
    with pytest.raises(UnknownAccount, match="Did you mean acme/facebook"):
        await stores.accounts.require("acme/facebok")
    with pytest.raises(UnknownAccount, match="connector accounts"):
        await stores.accounts.require("zzz")


async def test_an_unknown_account_is_compared_with_few_and_beside_the_event_loop(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any key may ask for what is not there, and thousands of comparisons take seconds."""
    rows = [
        {
            "id": f"{number:032x}",
            "name": f"acme/customer-{number:04}",
            "provider": "acme",
            "state": "pending",
            "state_since": SOME_TIME,
            "generation": 0,
            "created_at": SOME_TIME,
        }
        for number in range(1000)
    ]
    async with stores.database.write() as connection:
        await connection.execute(insert(ACCOUNT), rows)
    compared: list[tuple[int, bool]] = []

    def compare(word: str, names: list[str], n: int) -> list[str]:
        is_beside = threading.current_thread() is not threading.main_thread()
        compared.append((len(names), is_beside))
        return get_close_matches(word, names, n)

    monkeypatch.setattr(difflib, "get_close_matches", compare)
    with pytest.raises(UnknownAccount, match="Did you mean acme/customer-0500"):
        await stores.accounts.require("acme/customer-0500x")
    assert compared == [(200, True)]


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "Acme", "a" * 10_000, "acme/token", "é"])
async def test_what_is_no_name_is_unknown_on_every_database(stores: Stores, name: str) -> None:
    assert await stores.accounts.get(name) is None
    with pytest.raises(UnknownAccount):
        await stores.accounts.require(name)


async def test_a_renamed_account_keeps_its_tokens(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    assert await stores.accounts.rename(account, "acme/two")
    renamed = await stores.accounts.require("acme/two")
    assert renamed.id == account.id
    assert stores.accounts.open_refresh_token(renamed) == Secret("refresh-1")
    assert await stores.accounts.get("acme/one") is None


async def test_a_name_that_is_taken_is_not_given_twice(stores: Stores) -> None:
    one = await connected(stores, "acme/one")
    two = await connected(stores, "acme/two")
    assert not await stores.accounts.rename(one, "acme/two")
    assert await stores.accounts.require("acme/one") == one
    assert await stores.accounts.require("acme/two") == two


async def test_what_is_gone_cannot_be_renamed(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    await stores.accounts.forget(account)
    with pytest.raises(UnknownAccount, match="acme/one"):
        await stores.accounts.rename(account, "acme/two")


async def test_a_forgotten_account_is_gone_and_the_others_are_not(stores: Stores) -> None:
    one, two = await connected(stores, "acme/one"), await connected(stores, "acme/two")
    await stores.accounts.forget(one)
    assert await stores.accounts.all() == [two]
    again = await stores.accounts.begin("acme/one", "acme", now=SOME_TIME)
    assert again.id != one.id, "a ciphertext of the old row must not fit the new one"


async def test_versions_tell_what_memory_must_forget(stores: Stores) -> None:
    one = await connected(stores, "acme/one")
    two = await stores.accounts.begin("acme/two", "acme", now=SOME_TIME)
    await stores.grants.renew(one, some_tokens("2"))
    names = ["acme/one", "acme/two", "acme/three"]
    assert await stores.accounts.versions(names) == {
        "acme/one": (one.id, 2, "active"),
        "acme/two": (two.id, 0, "pending"),
    }
    assert await stores.accounts.versions([]) == {}


async def test_a_broken_ciphertext_names_account_and_field_and_harms_no_other(
    stores: Stores,
) -> None:
    await connected(stores, "acme/one")
    two = await connected(stores, "acme/two")
    async with stores.database.write() as connection:
        await connection.execute(
            text("UPDATE account SET refresh_token_sealed = :junk WHERE name = 'acme/one'"),
            {"junk": b"\1" * 60},
        )
    broken = await stores.accounts.require("acme/one")
    with pytest.raises(VaultSealed, match=r"account acme/one: the refresh_token of .* not open"):
        stores.accounts.open_refresh_token(broken)
    assert stores.accounts.open_access_token(broken) == Secret("access-1")
    assert [account.name for account in await stores.accounts.all()] == ["acme/one", "acme/two"]
    assert stores.accounts.open_refresh_token(two) == Secret("refresh-1")


@pytest.mark.parametrize("column", ["access_token_sealed", "refresh_token_sealed"])
async def test_a_ciphertext_of_another_account_does_not_open(stores: Stores, column: str) -> None:
    await connected(stores, "acme/one")
    await connected(stores, "acme/two")
    async with stores.database.write() as connection:
        await connection.execute(
            text(
                f"UPDATE account SET {column} ="  # noqa: S608 - a name from above
                f" (SELECT {column} FROM account WHERE name = 'acme/one') WHERE name = 'acme/two'"
            )
        )
    moved = await stores.accounts.require("acme/two")
    is_access = column == "access_token_sealed"
    accounts = stores.accounts
    open_it = accounts.open_access_token if is_access else accounts.open_refresh_token
    with pytest.raises(VaultSealed, match="another place"):
        open_it(moved)


async def test_a_row_put_back_to_an_older_generation_does_not_open(stores: Stores) -> None:
    old = await connected(stores, "acme/one")
    assert old.grant is not None
    await stores.grants.renew(old, some_tokens("2"))
    async with stores.database.write() as connection:
        await connection.execute(
            text("UPDATE account SET access_token_sealed = :old"),
            {"old": old.grant.sealed.access_token},
        )
    with pytest.raises(VaultSealed, match="generation 2"):
        stores.accounts.open_access_token(await stores.accounts.require("acme/one"))


async def test_a_row_put_back_whole_opens(stores: Stores) -> None:
    """A limit, told in docs/threat-model.md: nothing outside the database says how old it is."""
    old = await connected(stores, "acme/one")
    async with stores.database.read() as connection:
        row = (await connection.execute(select(ACCOUNT))).one()._asdict()
    await stores.grants.renew(old, some_tokens("2"))
    async with stores.database.write() as connection:
        await connection.execute(update(ACCOUNT).values(row))
    put_back = await stores.accounts.require("acme/one")
    assert stores.accounts.open_refresh_token(put_back) == Secret("refresh-1")


async def test_names_are_not_bound_to_tokens(stores: Stores) -> None:
    """A limit, told in docs/threat-model.md: a row is sealed by its identifier, to be renamed."""
    one = await connected(stores, "acme/one")
    async with stores.database.write() as connection:
        await connection.execute(text("UPDATE account SET name = 'acme/two'"))
    renamed = await stores.accounts.require("acme/two")
    assert renamed.id == one.id
    assert stores.accounts.open_access_token(renamed) == Secret("access-1")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE account SET provider = 'evil'",
        "UPDATE account SET fingerprint = 'of another registration'",
        "UPDATE account SET fingerprint = NULL",
        "UPDATE account SET provider = provider || ' ' || fingerprint, fingerprint = NULL",
    ],
)
async def test_tokens_do_not_open_for_another_provider_or_registration(
    stores: Stores, change: str
) -> None:
    """Whoever writes to the database cannot have them sent to another server (CHECKLIST 110)."""
    await connected(stores, "acme/one")
    async with stores.database.write() as connection:
        await connection.execute(text(change))
    moved = await stores.accounts.require("acme/one")
    with pytest.raises(VaultSealed, match="acme/one"):
        stores.accounts.open_refresh_token(moved)
    with pytest.raises(VaultSealed, match="acme/one"):
        stores.accounts.open_access_token(moved)


async def test_access_and_refresh_token_cannot_change_places(stores: Stores) -> None:
    await connected(stores, "acme/one")
    async with stores.database.write() as connection:
        await connection.execute(
            text("UPDATE account SET access_token_sealed = refresh_token_sealed")
        )
    with pytest.raises(VaultSealed):
        stores.accounts.open_access_token(await stores.accounts.require("acme/one"))


async def test_an_active_row_without_tokens_needs_consent(stores: Stores) -> None:
    await connected(stores, "acme/one")
    async with stores.database.write() as connection:
        await connection.execute(text("UPDATE account SET access_token_sealed = NULL"))
    account = await stores.accounts.require("acme/one")
    assert account.state_name == "consent_required"
    assert stores.accounts.open_refresh_token(account) is None
    assert stores.accounts.open_extra(account) == {}


async def test_versions_of_more_accounts_than_a_statement_takes(stores: Stores) -> None:
    account = await connected(stores, "acme/last")
    names = [f"acme/{number}" for number in range(70_000)]
    assert await stores.accounts.versions([*names, "acme/last"]) == {
        "acme/last": (account.id, account.generation, "active")
    }
