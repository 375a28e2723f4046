"""Debts of revocation: tokens leave the account and become a debt in one transaction."""

from dataclasses import replace

import pytest
from sqlalchemy import event, text

from connector.account import ConsentRequired
from connector.errors import TemporarilyUnavailable
from connector.secret import Secret
from connector.testing import SOME_TIME, Stores, connected, some_tokens


async def _sealed_columns(stores: Stores) -> list[object]:
    async with stores.database.read() as connection:
        query = "SELECT access_token_sealed, refresh_token_sealed, extra_sealed FROM account"
        return [value for row in await connection.execute(text(query)) for value in row]


async def test_the_tokens_become_a_debt(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    debt = await stores.revocations.destroy(account, "revoked", now=SOME_TIME + 1, is_owed=True)
    assert debt is not None
    assert debt.tokens == {
        "access_token": Secret("access-1"),
        "refresh_token": Secret("refresh-1"),
    }
    assert (debt.account, debt.provider, debt.subject) == ("acme/one", "acme", "17")
    assert (debt.attempts, debt.created_at, debt.last_error) == (0, SOME_TIME + 1, None)
    assert await stores.revocations.all() == [debt]
    assert await _sealed_columns(stores) == [None, None, None]
    ended = await stores.accounts.require("acme/one")
    assert ended.state == ConsentRequired(reason="revoked", since=SOME_TIME + 1, grant=None)
    assert ended.generation == account.generation + 1, "no writer of before may come back"
    assert (ended.lease, ended.attempt, ended.trouble) == (None, None, None)


async def test_the_debt_is_sealed_to_its_own_place(stores: Stores) -> None:
    for name in ("acme/one", "acme/two"):
        account = await connected(stores, name)
        await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
    async with stores.database.read() as connection:
        rows = (await connection.execute(text("SELECT id, tokens_sealed FROM revocation"))).all()
    assert all(b"refresh-1" not in bytes(row[1]) for row in rows)
    async with stores.database.write() as connection:
        await connection.execute(
            text("UPDATE revocation SET tokens_sealed = :other WHERE id = :id"),
            {"other": bytes(rows[0][1]), "id": rows[1][0]},
        )
    one, two = sorted(await stores.revocations.all(), key=lambda debt: debt.id != rows[0][0])
    assert one.tokens["refresh_token"] == Secret("refresh-1")
    assert two.tokens == {}, "a ciphertext of another debt does not open"


async def test_a_debt_is_not_paid_to_another_provider(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    assert account.grant is not None
    await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
    (debt,) = await stores.revocations.all()
    assert debt.fingerprint == account.grant.fingerprint
    assert set(debt.tokens) == {"access_token", "refresh_token"}
    async with stores.database.write() as connection:
        await connection.execute(text("UPDATE revocation SET provider = 'evil'"))
    (moved,) = await stores.revocations.all()
    assert moved.tokens == {}
    assert await stores.revocations.due(SOME_TIME) == []


async def test_where_nothing_is_owed_nothing_is_kept(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    assert not await stores.revocations.destroy(account, "x", now=SOME_TIME, is_owed=False)
    assert await stores.revocations.all() == []
    assert (await stores.accounts.require("acme/one")).grant is None


async def test_an_account_without_tokens_owes_nothing(stores: Stores) -> None:
    pending = await stores.accounts.begin("acme/one", "acme", now=SOME_TIME)
    assert await stores.revocations.destroy(pending, "x", now=SOME_TIME, is_owed=True) is None
    assert await stores.revocations.all() == []
    assert (await stores.accounts.require("acme/one")).state_name == "consent_required"


async def test_an_account_without_a_refresh_token_owes_the_access_token(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    bare = await stores.grants.renew(account, replace(some_tokens("2"), refresh_token=None))
    assert bare is not None
    debt = await stores.revocations.destroy(bare, "revoked", now=SOME_TIME, is_owed=True)
    assert debt is not None
    assert debt.tokens == {"access_token": Secret("access-2")}


async def test_where_tokens_were_replaced_meanwhile_nothing_happens(stores: Stores) -> None:
    before = await connected(stores, "acme/one")
    renewed = await stores.grants.renew(before, some_tokens("2"))
    assert await stores.revocations.destroy(before, "x", now=SOME_TIME, is_owed=True) is None
    assert await stores.accounts.require("acme/one") == renewed
    assert await stores.revocations.all() == []


async def test_without_the_debt_the_tokens_stay(stores: Stores) -> None:
    """One transaction: where the debt cannot be written, nothing is destroyed."""
    account = await connected(stores, "acme/one")

    def fail(*details: object) -> None:
        if "INSERT INTO revocation" in str(details[2]):
            raise OSError(28, "No space left on device")

    event.listen(stores.database.engine.sync_engine, "before_cursor_execute", fail)
    with pytest.raises(TemporarilyUnavailable):
        await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
    assert await stores.accounts.require("acme/one") == account


async def test_a_debt_is_tried_when_it_is_due_and_until_it_is_settled(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    debt = await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
    assert debt is not None
    assert await stores.revocations.due(SOME_TIME - 1) == []
    assert await stores.revocations.due(SOME_TIME) == [debt]
    await stores.revocations.postpone(debt, "503 \0", retry_at=SOME_TIME + 60)
    assert await stores.revocations.due(SOME_TIME + 59) == []
    (again,) = await stores.revocations.due(SOME_TIME + 60)
    assert again == replace(debt, attempts=1, last_error="503 \N{REPLACEMENT CHARACTER}")
    await stores.revocations.postpone(again, "503", retry_at=SOME_TIME + 120)
    (third,) = await stores.revocations.all()
    assert third.attempts == 2
    await stores.revocations.settle(third)
    assert await stores.revocations.all() == []


async def test_a_forgotten_account_leaves_its_debt(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    debt = await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
    await stores.accounts.forget(account)
    assert await stores.revocations.all() == [debt]


async def test_debts_come_oldest_first_and_due_ones_first_due_first(stores: Stores) -> None:
    debts = {}
    for seconds, name in ((3, "three"), (1, "one"), (2, "two")):
        account = await connected(stores, f"acme/{name}")
        debts[name] = await stores.revocations.destroy(
            account, "revoked", now=SOME_TIME + seconds, is_owed=True
        )
    assert [debt.account for debt in await stores.revocations.all()] == [
        "acme/one",
        "acme/two",
        "acme/three",
    ]
    assert debts["one"] is not None
    await stores.revocations.postpone(debts["one"], "503", retry_at=SOME_TIME + 9)
    assert [debt.account for debt in await stores.revocations.due(SOME_TIME + 9)] == [
        "acme/two",
        "acme/three",
        "acme/one",
    ]


async def test_a_debt_that_does_not_open_is_shown_and_holds_up_no_other(stores: Stores) -> None:
    for name in ("acme/one", "acme/two"):
        account = await connected(stores, name)
        await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
    async with stores.database.write() as connection:
        await connection.execute(
            text("UPDATE revocation SET tokens_sealed = :junk WHERE account = 'acme/one'"),
            {"junk": b"\1" * 60},
        )
    assert [debt.account for debt in await stores.revocations.due(SOME_TIME)] == ["acme/two"]
    shown = {debt.account: debt for debt in await stores.revocations.all()}
    assert "does not open" in str(shown["acme/one"].last_error)
    assert shown["acme/two"].last_error is None


@pytest.mark.parametrize(
    ("broken", "owed"),
    [
        (["access_token"], {"refresh_token"}),
        (["refresh_token"], {"access_token"}),
        (["access_token", "refresh_token"], set()),
    ],
)
async def test_what_does_not_open_is_destroyed_and_the_rest_is_owed(
    stores: Stores, broken: list[str], owed: set[str]
) -> None:
    await connected(stores, "acme/one")
    async with stores.database.write() as connection:
        for field in broken:
            statement = f"UPDATE account SET {field}_sealed = :junk"  # noqa: S608 - from above
            await connection.execute(text(statement), {"junk": b"\1" * 60})
    account = await stores.accounts.require("acme/one")
    debt = await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
    assert (set(debt.tokens) if debt else set()) == owed
    assert await _sealed_columns(stores) == [None, None, None]


async def test_a_debt_does_not_show_its_tokens(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    debt = await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
    assert "refresh-1" not in repr(debt)
