"""The audit trail by page: chosen, found by index, and what does not fit is told."""

import pytest
from sqlalchemy import text

from connector.store.audit import AuditStore
from connector.store.audit_entry import Actor, Entry
from connector.store.audit_pages import AuditChoice, AuditPages, find_rows
from connector.store.tables import AUDIT
from connector.testing import SOME_TIME, Stores

from .plans import explain

DAY = 86_400.0
ME = Actor(kind="uid", name="1000")


@pytest.fixture
def store(stores: Stores) -> AuditStore:
    return AuditStore(stores.database, stores.vault, ME)


@pytest.fixture
def pages(stores: Stores) -> AuditPages:
    return AuditPages(stores.database, stores.vault)


async def fill(store: AuditStore, count: int = 12, *, apart: float = DAY) -> None:
    entries = [
        Entry(
            event=("token.released", "consent.given", "key.created")[number % 3],
            account=None if number % 3 == 2 else f"acme/{number % 2}",
            at=SOME_TIME + number * apart,
        )
        for number in range(count)
    ]
    await store.append(entries, now=SOME_TIME)


async def found(pages: AuditPages, choice: AuditChoice) -> list[int]:
    return [row.number for row in (await pages.page(choice, limit=50)).rows]


async def test_pages_lead_forth_and_back(store: AuditStore, pages: AuditPages) -> None:
    await fill(store, 7)
    first = await pages.page(AuditChoice(), limit=3)
    assert ([row.number for row in first.rows], first.newer) == ([7, 6, 5], None)
    second = await pages.page(AuditChoice(), limit=3, before=first.older)
    third = await pages.page(AuditChoice(), limit=3, before=second.older)
    assert ([row.number for row in third.rows], third.older) == ([1], None)
    back = await pages.page(AuditChoice(), limit=3, after=third.newer)
    assert [row.number for row in back.rows] == [4, 3, 2]
    again = await pages.page(AuditChoice(), limit=3, after=back.newer)
    assert ([row.number for row in again.rows], again.newer) == ([7, 6, 5], None)
    for page in (first, second, third, back):
        assert page.altered == frozenset()
    empty = await pages.page(AuditChoice(account="none"), limit=3)
    assert (empty.rows, empty.older, empty.newer) == ([], None, None)


async def test_rows_are_chosen_by_account_event_and_time(
    store: AuditStore, pages: AuditPages
) -> None:
    await fill(store)
    assert await found(pages, AuditChoice(account="acme/1")) == [10, 8, 4, 2]
    assert await found(pages, AuditChoice(event="key.created")) == [12, 9, 6, 3]
    since, until = SOME_TIME + 3 * DAY, SOME_TIME + 6 * DAY
    assert await found(pages, AuditChoice(since=since, until=until)) == [7, 6, 5, 4]
    assert await found(pages, AuditChoice(since=SOME_TIME + 99 * DAY)) == []
    assert await found(pages, AuditChoice(until=SOME_TIME - 99 * DAY)) == []
    both = AuditChoice(event="token.released", since=since)
    assert await found(pages, both) == [10, 7, 4]


async def test_an_empty_trail(pages: AuditPages) -> None:
    assert await found(pages, AuditChoice(since=SOME_TIME, until=SOME_TIME)) == []


async def test_what_was_altered_is_told(
    stores: Stores, store: AuditStore, pages: AuditPages
) -> None:
    await fill(store)
    async with stores.database.write() as connection:
        await connection.execute(text("UPDATE audit SET account = 'acme/x' WHERE number = 5"))
        await connection.execute(text("DELETE FROM audit WHERE number = 9"))
    page = await pages.page(AuditChoice(), limit=50)
    assert page.altered == {5, 10}
    assert (await pages.page(AuditChoice(account="acme/x"), limit=50)).altered == {5}
    assert (await pages.page(AuditChoice(event="consent.given"), limit=50)).altered == {5}


async def test_after_the_beginning_was_removed_the_rest_fits(
    store: AuditStore, pages: AuditPages
) -> None:
    await fill(store)
    await store.prune(SOME_TIME + 4 * DAY)
    page = await pages.page(AuditChoice(), limit=50)
    assert page.rows[-1].number > 1
    assert page.altered == frozenset()


@pytest.mark.parametrize(
    ("choice", "index"),
    [
        (AuditChoice(), ("audit_pkey", "sqlite_autoindex_audit_1")),
        (AuditChoice(account="acme/1"), ("ix_audit_of_account",)),
        (AuditChoice(event="key.created"), ("ix_audit_of_event",)),
    ],
    ids=["all", "account", "event"],
)
async def test_they_are_found_by_index(
    stores: Stores, store: AuditStore, choice: AuditChoice, index: tuple[str, ...]
) -> None:
    """Of a million rows no more are read than are shown."""
    entries = [
        Entry(
            event="key.created" if number % 99 == 0 else "token.released",
            account=f"acme/{number % 300}",
        )
        for number in range(3_000)
    ]
    await store.append(entries, now=SOME_TIME)
    query = find_rows(choice, first=None, last=None).order_by(AUDIT.c.number.desc()).limit(50)
    plan = await explain(stores.database, query)
    assert "TEMP B-TREE" not in plan, plan
    assert "Seq Scan" not in plan, plan
    assert any(name in plan for name in index), plan
