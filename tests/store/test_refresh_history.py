"""What came of refreshes is kept for a while, delays nobody, and goes with its account."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Select, func, insert, select

from connector.account import Account
from connector.errors import TemporarilyUnavailable
from connector.store import refresh_history
from connector.store.history_tables import REFRESHES
from connector.store.refresh_history import (
    ENDS,
    MOST_OF_AN_ACCOUNT,
    PastRefresh,
    RefreshHistory,
    find_last,
)
from connector.testing import SOME_TIME, FixedClock, Stores, connected

from .plans import explain

DAY = 86_400.0


@pytest.fixture
async def history(stores: Stores, clock: FixedClock) -> AsyncIterator[RefreshHistory]:
    made = RefreshHistory(stores.database, now=clock)
    yield made
    await made.aclose()


def past(account: Account | str, at: float = SOME_TIME, **values: object) -> PastRefresh:
    account_id = account if isinstance(account, str) else account.id
    fields: dict[str, object] = {"seconds": 0.25, "outcome": "granted", **values}
    return PastRefresh(account_id=account_id, at=at, **fields)  # type: ignore[arg-type]


async def write(stores: Stores, rows: list[PastRefresh]) -> None:
    """Have rows there, past the history that is tested."""
    values = [{name: getattr(row, name) for name in PastRefresh.__slots__} for row in rows]
    async with stores.database.write() as connection:
        await connection.execute(insert(REFRESHES), values)


async def count(stores: Stores) -> int:
    async with stores.database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(REFRESHES))).scalar_one()


async def test_the_newest_come_first(stores: Stores, history: RefreshHistory) -> None:
    one, two = await connected(stores, "acme/one"), await connected(stores, "acme/two")
    failed = past(one, SOME_TIME + 2, outcome="refused", error="invalid_grant")
    for row in (past(one), past(two), past(one, SOME_TIME + 1), failed):
        history.note(row)
    await history.flush()
    found = await history.of_account(one.id, limit=10)
    assert found == [failed, past(one, SOME_TIME + 1), past(one)]
    assert await history.of_account(one.id, limit=1) == [failed]
    assert await history.of_account(one.id, limit=1, before=failed.at) == found[1:2]
    assert await history.of_account("nobody", limit=1) == []


async def test_they_are_written_without_being_asked_for(
    stores: Stores, history: RefreshHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh_history, "INTERVAL", 0.01)
    account = await connected(stores, "acme/one")
    history.note(past(account))
    async with asyncio.timeout(10):
        while not await history.of_account(account.id, limit=1):  # noqa: ASYNC110 - of the database
            await asyncio.sleep(0.01)


async def test_they_are_written_at_the_end(
    stores: Stores, history: RefreshHistory, clock: FixedClock
) -> None:
    account = await connected(stores, "acme/one")
    history.note(past(account))
    await history.aclose()
    other = RefreshHistory(stores.database, now=clock)
    assert await other.of_account(account.id, limit=5) == [past(account)]


async def test_they_stay_when_the_account_is_renamed_and_go_with_it(
    stores: Stores, history: RefreshHistory
) -> None:
    account, other = await connected(stores, "acme/one"), await connected(stores, "acme/two")
    history.note(past(account))
    history.note(past(other))
    await history.flush()
    assert await stores.accounts.rename(account, "acme/new")
    assert await history.of_account(account.id, limit=5) == [past(account)]
    await stores.accounts.forget(account)
    assert await count(stores) == 1


async def test_a_row_of_an_account_that_is_gone_costs_no_other(
    stores: Stores, history: RefreshHistory
) -> None:
    account = await connected(stores, "acme/one")
    for row in (past(account), past("gone"), past(account, SOME_TIME + 1)):
        history.note(row)
    await history.flush()
    assert len(await history.of_account(account.id, limit=5)) == 2
    assert await count(stores) == 2


async def test_what_no_database_takes_costs_no_other(
    stores: Stores, history: RefreshHistory
) -> None:
    account = await connected(stores, "acme/one")
    history.note(past(account, error="a\0b\ud800"))
    await history.flush()
    (row,) = await history.of_account(account.id, limit=5)
    assert row.error == "a\N{REPLACEMENT CHARACTER}b?"


async def test_to_write_a_row_again_changes_nothing(
    stores: Stores, history: RefreshHistory, clock: FixedClock
) -> None:
    """A commit whose acknowledgement was lost is tried again."""
    account = await connected(stores, "acme/one")
    for one in (history, RefreshHistory(stores.database, now=clock)):
        one.note(past(account))
        await one.flush()
    assert await history.of_account(account.id, limit=5) == [past(account)]


async def test_while_the_database_is_away_they_are_kept_up_to_a_number(
    stores: Stores,
    history: RefreshHistory,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(refresh_history, "MOST_KEPT", 3)
    account = await connected(stores, "acme/one")

    async def away(_work: object) -> object:
        raise TemporarilyUnavailable("the database is away")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(stores.database, "transact", away)
        for number in range(5):
            history.note(past(account, SOME_TIME + number))
            await history.flush()
    told = [one.message for one in caplog.records if "history" in one.message]
    assert len(told) == 1, "told once"
    assert "the database is away" in told[0]
    await history.flush()
    found = await history.of_account(account.id, limit=5)
    assert [row.at - SOME_TIME for row in found] == [4, 3, 2], "the oldest are dropped"
    assert history.dropped == 2
    await history.aclose()
    assert "2 rows of the history of refreshes are lost" in caplog.text


async def test_a_database_that_hangs_holds_up_no_end(
    stores: Stores, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh_history, "CLOSING_TIME", 0.05)
    history = RefreshHistory(stores.database, now=clock)
    history.note(past("anyone"))

    async def hang(_work: object) -> object:
        return await asyncio.Event().wait()

    monkeypatch.setattr(stores.database, "transact", hang)
    async with asyncio.timeout(10):
        await history.aclose()


async def test_old_ones_go_and_each_account_has_a_number_of_its_own(
    stores: Stores, history: RefreshHistory, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh_history, "_ACCOUNTS_TOGETHER", 2)
    names = ("acme/old", "acme/many", "acme/both", "acme/few", "acme/none")
    old, many, both, few, _none = [await connected(stores, name) for name in names]
    surplus = range(MOST_OF_AN_ACCOUNT + 7)
    await write(
        stores,
        [past(old, SOME_TIME - 91 * DAY), past(old, SOME_TIME - 89 * DAY), past(few)]
        + [past(many, SOME_TIME - number) for number in surplus]
        + [past(both, SOME_TIME - number) for number in surplus]
        + [past(both, SOME_TIME - 91 * DAY - number) for number in range(3)],
    )
    assert await history.prune(90 * DAY) == 3
    kept = {one.name: await history.of_account(one.id, limit=9999) for one in (old, many, both)}
    assert [row.at for row in kept["acme/old"]] == [SOME_TIME - 89 * DAY]
    newest = [SOME_TIME - number for number in range(MOST_OF_AN_ACCOUNT)]
    assert [row.at for row in kept["acme/many"]] == newest
    assert [row.at for row in kept["acme/both"]] == newest
    assert len(await history.of_account(few.id, limit=5)) == 1
    assert await history.prune(90 * DAY) == 0, "there is nothing more to remove"
    clock.now += 365 * DAY
    await history.prune(0)
    assert len(await history.of_account(old.id, limit=5)) == 1, "no age is too old"


async def test_rows_of_a_clock_that_was_wrong_do_not_drive_out_right_ones(
    stores: Stores, history: RefreshHistory
) -> None:
    account = await connected(stores, "acme/one")
    await write(
        stores,
        [past(account, SOME_TIME + 3 * DAY + number) for number in range(MOST_OF_AN_ACCOUNT)]
        + [past(account, SOME_TIME - number) for number in range(3)],
    )
    await history.prune(90 * DAY)
    found = await history.of_account(account.id, limit=9999)
    assert [row.at for row in found] == [SOME_TIME, SOME_TIME - 1, SOME_TIME - 2]


@pytest.mark.parametrize(
    "query",
    [
        find_last("acme/7", limit=5),
        find_last("acme/7", limit=5, before=SOME_TIME),
        ENDS.params(last="acme/7", latest=SOME_TIME),
    ],
    ids=["last", "page", "ends"],
)
async def test_they_are_found_by_the_key(stores: Stores, query: Select[Any]) -> None:
    """Of a million rows as many are read as are shown, and few where none is to be removed."""
    accounts = [await connected(stores, f"acme/{number}") for number in range(20)]
    rows = [past(one, SOME_TIME + number) for one in accounts for number in range(500)]
    await write(stores, rows)
    plan = await explain(stores.database, query)
    assert ("USING PRIMARY KEY" if stores.database.is_sqlite else "refreshes_pkey") in plan, plan
    assert "SCAN refreshes" not in plan, plan
    assert "Seq Scan on refreshes" not in plan, plan
    assert "TEMP B-TREE" not in plan, plan
