"""A new data key: taken up by all, everything sealed anew under it, nothing made older."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Row, text
from sqlmodel import SQLModel

from connector.account import Account
from connector.errors import VaultSealed
from connector.secret import Secret
from connector.store.due import DueStore, Used
from connector.store.sealed_tables import SUFFIX, TABLES
from connector.store.sealed_values import SealedValues
from connector.store.vault_keys import load_vault, make_data_key
from connector.testing import (
    SOME_TIME,
    MemorySeal,
    Stores,
    connected,
    open_stores,
    some_attempt,
    some_tokens,
)
from connector.vault.envelope import VERSION, Place, _unbound_data

from .conftest import OpenDatabase
from .scenarios import KEY
from .test_consents import RECORD
from .test_late_tokens import LATE, lose
from .worker import Crew, Worker


@pytest.fixture
async def stores(open_database: OpenDatabase) -> Stores:
    """A vault of the test's own: that of the template belongs to all tests."""
    return await open_stores(open_database(), MemorySeal(KEY))


@pytest.fixture
async def other(open_database: OpenDatabase) -> Stores:
    """Another process's, opened before anything is rotated."""
    return await open_stores(open_database(), MemorySeal(KEY))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """An account with a late token, and another one's debt."""

    one: Account
    debt_id: str


async def fill(stores: Stores) -> Filled:
    """Seal something in every table: two tokens, a late one, a debt and a consent."""
    one = await lose(stores)
    revoked = await connected(stores, "acme/revoked")
    debt = await stores.revocations.destroy(revoked, "revoked", now=SOME_TIME, is_owed=True)
    assert debt is not None
    await stores.consents.add(RECORD)
    return Filled(one=one, debt_id=debt.id)


async def rotate(stores: Stores, *, batch: int = 100) -> int:
    await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    return await SealedValues(stores.database, stores.vault, batch=batch).reseal()


async def keys(stores: Stores) -> dict[int, int]:
    """How many values open, by key; all of them do."""
    census = await SealedValues(stores.database, stores.vault).census()
    assert census.failures == []
    return dict(census.keys)


async def fetch(stores: Stores, query: str) -> list[Row[Any]]:
    async with stores.database.read() as connection:
        return list((await connection.execute(text(query))).all())


async def tokens(stores: Stores, name: str) -> tuple[str, str | None]:
    account = await stores.accounts.require(name)
    refresh_token = stores.accounts.open_refresh_token(account)
    return (
        stores.accounts.open_access_token(account).reveal(),
        refresh_token.reveal() if refresh_token else None,
    )


async def test_what_earlier_versions_sealed_is_sealed_as_today(stores: Stores) -> None:
    """Version 1 bound nothing but the place; no new key is needed for it."""
    one = await connected(stores, "acme/one")
    place = Place(table="account", row=one.id, field="refresh_token", generation=one.generation)
    header = b"\x01" + (1).to_bytes(4, "big")
    nonce = bytes(12)
    key: AESGCM = stores.vault._keys[1]
    data = _unbound_data(header, stores.vault.store_id, place)
    older = header + nonce + key.encrypt(nonce, b"refresh-of-old", data)
    async with stores.database.write() as connection:
        query = text("UPDATE account SET refresh_token_sealed = :older")
        await connection.execute(query, {"older": older})
    assert await tokens(stores, "acme/one") == ("access-1", "refresh-of-old")
    assert await SealedValues(stores.database, stores.vault).reseal() == 1
    assert await tokens(stores, "acme/one") == ("access-1", "refresh-of-old")
    (row,) = await fetch(stores, "SELECT refresh_token_sealed FROM account")
    assert bytes(row[0])[0] == VERSION
    assert await SealedValues(stores.database, stores.vault).reseal() == 0


def test_every_sealed_column_is_gone_through() -> None:
    sealed = {
        (table.name, column.name)
        for table in SQLModel.metadata.tables.values()
        for column in table.c
        if column.name.endswith(SUFFIX)
    }
    assert {(kept.table.name, name) for kept in TABLES for name in kept.columns} == sealed
    assert len(sealed) == 6


async def test_all_is_sealed_anew_in_its_place(stores: Stores) -> None:
    filled = await fill(stores)
    assert await keys(stores) == {1: 5}
    before = await stores.accounts.require("acme/one")
    assert await rotate(stores, batch=1) == 5
    assert await keys(stores) == {2: 5}
    after = await stores.accounts.require("acme/one")
    assert after.generation == before.generation == filled.one.generation
    assert await tokens(stores, "acme/one") == ("access-winner", "refresh-winner")
    assert await stores.late_tokens.find(after) == LATE
    (debt,) = await stores.revocations.all()
    assert debt.tokens["refresh_token"] == Secret("refresh-1")
    record = await stores.consents.get(RECORD.id)
    assert record is not None
    assert record.request == RECORD.request


async def test_the_vault_opens_again_with_both_keys(stores: Stores) -> None:
    await fill(stores)
    old = await stores.accounts.require("acme/one")
    await rotate(stores)
    vault = await load_vault(stores.database, MemorySeal(KEY))
    assert vault.current_key_id == 2
    rows = await fetch(stores, "SELECT key_id FROM vault_key ORDER BY key_id")
    assert [tuple(row) for row in rows] == [(1,), (2,)]
    assert stores.accounts.open_access_token(old).reveal() == "access-winner", "read before"


async def read_one(other: Stores, filled: Filled) -> None:
    assert await tokens(other, filled.one.name) == ("access-winner", "refresh-winner")


async def read_all(other: Stores, _filled: Filled) -> None:
    found = {account.name: account for account in await other.accounts.all()}
    assert other.accounts.open_access_token(found["acme/one"]).reveal() == "access-winner"


async def lease(other: Stores, filled: Filled) -> None:
    leased = await other.grants.take_lease(filled.one, "me", some_attempt())
    assert leased is not None
    assert other.accounts.open_refresh_token(leased) == Secret("refresh-winner")


async def claim(other: Stores, filled: Filled) -> None:
    due = DueStore(other.database, other.vault)
    used = Used(account_id=filled.one.id, generation=filled.one.generation, renew_at=SOME_TIME)
    await due.note_used([used])
    (claimed,) = await due.claim(now=SOME_TIME + 1, limit=1)
    assert other.accounts.open_refresh_token(claimed) == Secret("refresh-winner")


async def find_late(other: Stores, filled: Filled) -> None:
    assert await other.late_tokens.find(filled.one) == LATE


async def debts(other: Stores, _filled: Filled) -> None:
    (debt,) = await other.revocations.due(SOME_TIME)
    assert debt.tokens["access_token"] == Secret("access-1")


async def consent(other: Stores, _filled: Filled) -> None:
    record = await other.consents.find(RECORD.state_hash)
    assert record is not None
    assert record.request == RECORD.request


@pytest.mark.parametrize("meet", [read_one, read_all, lease, claim, find_late, debts, consent])
async def test_whoever_had_the_vault_open_takes_the_new_key_up_when_it_meets_it(
    stores: Stores, other: Stores, meet: Callable[[Stores, Filled], Awaitable[None]]
) -> None:
    filled = await fill(stores)
    await rotate(stores)
    assert other.vault.current_key_id == 1
    await meet(other, filled)
    assert other.vault.current_key_id == 2, "and seals with it"


async def test_what_another_process_kept_under_a_newer_key_can_be_a_late_token(
    stores: Stores, other: Stores
) -> None:
    """A journal's answer may be applied by a process that has not met its key."""
    before = await connected(stores, "acme/one")
    await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    write = stores.grants.renewal(before, some_tokens("late"))
    winner = await other.grants.renew(before, some_tokens("winner"))
    assert winner is not None
    assert await other.late_tokens.keep(write)
    assert await other.late_tokens.find(winner) == LATE


async def test_a_late_token_is_compared_with_a_winner_of_a_newer_key(
    stores: Stores, other: Stores
) -> None:
    before = await connected(stores, "acme/one")
    write = other.grants.renewal(before, some_tokens("late"))
    await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    winner = await stores.grants.renew(before, some_tokens("winner"))
    assert winner is not None
    assert await other.late_tokens.keep(write)
    assert await stores.late_tokens.find(winner) == LATE


async def test_another_process_that_was_up_before_reads_and_renews(
    stores: Stores, worker: Worker, address: str
) -> None:
    await fill(stores)
    worker.order("read_and_renew", url=address, name="acme/one", tokens="3")
    worker.wait_until_ready()  # its vault is open
    assert await rotate(stores) == 5
    worker.go()
    assert worker.result() == ["refresh-winner", 2]
    assert await tokens(stores, "acme/one") == ("access-3", "refresh-3")
    assert set(await keys(stores)) == {2}


async def test_what_is_written_meanwhile_is_not_overwritten(
    stores: Stores, other: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a process that does not know the new key: a further pass seals that anew as well."""
    account = await connected(stores, "acme/one")
    await connected(stores, "acme/two")
    values = SealedValues(stores.database, stores.vault)
    read, renewed = values._read, False

    async def read_and_let_others_write(*arguments: object) -> object:
        nonlocal renewed
        rows = await read(*arguments)  # type: ignore[arg-type]
        if not renewed:
            renewed = True
            assert await other.grants.renew(account, some_tokens("2")) is not None
        return rows

    monkeypatch.setattr(values, "_read", read_and_let_others_write)
    await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    await values.reseal()
    assert renewed
    assert await tokens(stores, "acme/one") == ("access-2", "refresh-2")
    assert await tokens(stores, "acme/two") == ("access-1", "refresh-1")
    assert await keys(stores) == {2: 4}


async def test_a_value_that_was_replaced_within_its_generation_stays(
    stores: Stores, other: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by another rotation, under a key that is newer still."""
    await connected(stores, "acme/one")
    values = SealedValues(stores.database, stores.vault)
    read, is_first = values._read, True

    async def read_and_let_others_rotate(*arguments: object) -> object:
        nonlocal is_first
        rows = await read(*arguments)  # type: ignore[arg-type]
        if is_first:
            is_first = False
            assert await rotate(other) == 2
        return rows

    await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    monkeypatch.setattr(values, "_read", read_and_let_others_rotate)
    assert await values.reseal() == 0, "what the other one wrote was overwritten"
    assert await keys(stores) == {3: 2}


async def test_rotations_at_once_leave_one_key_in_use(stores: Stores, other: Stores) -> None:
    for number in range(10):
        await connected(stores, f"acme/{number}")
    await asyncio.gather(rotate(stores, batch=3), rotate(other, batch=3))
    await SealedValues(stores.database, stores.vault).reseal()
    assert len(await keys(stores)) == 1
    for number in range(10):
        assert await tokens(other, f"acme/{number}") == ("access-1", "refresh-1")


async def test_processes_that_renew_all_the_while_lose_nothing(
    stores: Stores, workers: Crew, address: str
) -> None:
    names = [f"acme/{number}" for number in range(6)]
    for name in names:
        await connected(stores, name)
    orders: list[dict[str, object]] = [
        {"url": address, "name": name, "times": 30} for name in names
    ]
    renewing = asyncio.create_task(asyncio.to_thread(workers.run, "renew_often", orders))
    rotations = 0
    while not renewing.done() and rotations < 1000:
        await rotate(stores, batch=2)
        rotations += 1
    last = await renewing
    assert [(await tokens(stores, name))[1] for name in names] == last
    assert rotations > 1
    await SealedValues(stores.database, stores.vault).reseal()
    assert await keys(stores) == {1 + rotations: 12}


@pytest.mark.parametrize(
    ("statement", "count", "left"),
    [
        ("INSERT INTO vault_key", 1, {1: 12}),  # the new key is not committed
        ("UPDATE account", 1, {1: 12}),
        ("UPDATE account", 2, {1: 8, 2: 4}),
        ("UPDATE account", 3, {1: 4, 2: 8}),
    ],
)
async def test_a_rotation_that_is_killed_half_way_is_resumed(
    stores: Stores, worker: Worker, address: str, statement: str, count: int, left: dict[int, int]
) -> None:
    """Each batch is written whole or not at all."""
    for number in range(6):
        await connected(stores, f"acme/{number}")
    worker.order("die_in_a_rotation", url=address, batch=2, statement=statement, count=count)
    worker.wait_until_ready()
    worker.go()
    worker.wait_until_dead()
    assert await keys(stores) == left
    again = await load_vault(stores.database, MemorySeal(KEY))
    values = SealedValues(stores.database, again, batch=2)
    undone = 0 if statement.startswith("INSERT") else left[1]
    assert await values.reseal() == undone
    assert await keys(stores) == {again.current_key_id: 12}
    assert await values.reseal() == 0
    assert await tokens(stores, "acme/5") == ("access-1", "refresh-1")


@pytest.mark.parametrize("place", [0, 4, 10, -1])
async def test_a_flipped_byte_is_found_and_left_alone(stores: Stores, place: int) -> None:
    """In the version, the number of the key, the nonce, or the tag."""
    account = await connected(stores, "acme/one")
    await connected(stores, "acme/two")
    assert account.grant is not None
    changed = bytearray(account.grant.sealed.access_token)
    changed[place] ^= 0x40
    async with stores.database.write() as connection:
        await connection.execute(
            text("UPDATE account SET access_token_sealed = :sealed WHERE name = 'acme/one'"),
            {"sealed": bytes(changed)},
        )
    values = SealedValues(stores.database, stores.vault)
    ((name, reason),) = (await values.census()).failures
    assert name == "acme/one"
    assert f"access_token of account {account.id}, generation 1 does not open" in reason
    assert await rotate(stores) == 3
    census = await values.census()
    assert census.failures == [(name, reason)]
    assert dict(census.keys) == {2: 3}
    broken = await stores.accounts.require("acme/one")
    assert broken.grant is not None
    assert broken.grant.sealed.access_token == bytes(changed)
    assert stores.accounts.open_refresh_token(broken) == Secret("refresh-1")


async def test_a_new_key_that_does_not_open_is_refused_by_who_would_make_it(
    stores: Stores,
) -> None:
    await connected(stores, "acme/one")
    async with stores.database.write() as connection:
        await connection.execute(
            text("INSERT INTO vault_key (key_id, wrapped, created_at) VALUES (2, :junk, 0)"),
            {"junk": b"\1" * 65},
        )
    with pytest.raises(VaultSealed, match="data key 2 does not open"):
        await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    assert stores.vault.current_key_id == 1
    assert await tokens(stores, "acme/one") == ("access-1", "refresh-1")


async def test_progress_counts_every_row_once(stores: Stores) -> None:
    await fill(stores)
    values = SealedValues(stores.database, stores.vault, batch=1)
    told: list[int] = []
    await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    await values.reseal(told.append)
    assert sum(told) == await values.count() == 4
    await values.census(told.append)
    assert sum(told) == 8


async def test_a_consumed_consent_holds_nothing(stores: Stores) -> None:
    await stores.consents.add(RECORD)
    assert await stores.consents.consume(RECORD, now=RECORD.created_at)
    assert await keys(stores) == {}
    assert await rotate(stores) == 0
