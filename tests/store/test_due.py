"""Accounts that are due: claimed by one daemon each, found by index, and due again if it dies."""

import asyncio

import pytest
from sqlalchemy import text

from connector.account import Account, Trouble
from connector.store.due import CLAIM_TIME, DueStore, Used
from connector.testing import SOME_TIME, Stores, connected, some_attempt, some_tokens

from .conftest import OpenDatabase


@pytest.fixture
def due(stores: Stores) -> DueStore:
    return DueStore(stores.database, stores.vault)


async def used(due: DueStore, account: Account, renew_at: float) -> None:
    await due.note_used(
        [Used(account_id=account.id, generation=account.generation, renew_at=renew_at)]
    )


async def claimed(due: DueStore, now: float, limit: int = 100) -> list[str]:
    return sorted(one.name for one in await due.claim(now=now, limit=limit))


async def test_what_nobody_used_is_never_due(stores: Stores, due: DueStore) -> None:
    await connected(stores, "acme/one")
    assert await claimed(due, SOME_TIME + 10**9) == []


async def test_what_was_used_is_due_at_its_time_once(stores: Stores, due: DueStore) -> None:
    account = await connected(stores, "acme/one")
    await used(due, account, SOME_TIME + 100)
    assert await claimed(due, SOME_TIME + 99) == []
    assert await claimed(due, SOME_TIME + 100) == ["acme/one"]
    assert await claimed(due, SOME_TIME + 100) == []


async def test_the_claim_of_a_daemon_that_died_runs_out(stores: Stores, due: DueStore) -> None:
    account = await connected(stores, "acme/one")
    await used(due, account, SOME_TIME)
    await claimed(due, SOME_TIME)
    assert await claimed(due, SOME_TIME + CLAIM_TIME - 1) == []
    assert await claimed(due, SOME_TIME + CLAIM_TIME) == ["acme/one"]


async def test_an_earlier_time_stays(stores: Stores, due: DueStore) -> None:
    account = await connected(stores, "acme/one")
    await used(due, account, SOME_TIME + 10)
    await used(due, account, SOME_TIME + 1000)
    assert await claimed(due, SOME_TIME + 10) == ["acme/one"]


async def test_use_of_an_older_token_means_nothing(stores: Stores, due: DueStore) -> None:
    account = await connected(stores, "acme/one")
    await stores.grants.renew(account, some_tokens("2"))
    await used(due, account, SOME_TIME)
    assert await claimed(due, SOME_TIME + 10**9) == []


async def test_a_new_token_is_not_due(stores: Stores, due: DueStore) -> None:
    account = await connected(stores, "acme/one")
    await used(due, account, SOME_TIME)
    await claimed(due, SOME_TIME)
    await stores.grants.renew(account, some_tokens("2"))
    assert await claimed(due, SOME_TIME + 10**9) == []


@pytest.mark.parametrize("pause", [1, 300])
async def test_after_a_failure_it_is_due_when_it_may_be_tried_again(
    stores: Stores, due: DueStore, pause: int
) -> None:
    account = await connected(stores, "acme/one")
    await used(due, account, SOME_TIME)
    await claimed(due, SOME_TIME)
    leased = await stores.grants.take_lease(account, "me", some_attempt())
    assert leased is not None
    trouble = Trouble(message="503", since=SOME_TIME, failures=1, retry_at=SOME_TIME + pause)
    await stores.grants.settle(leased, trouble, unanswered=None)
    assert await claimed(due, SOME_TIME + pause - 1) == []
    assert await claimed(due, SOME_TIME + pause) == ["acme/one"]


async def test_a_failure_makes_none_due_that_was_not(stores: Stores, due: DueStore) -> None:
    """Somebody has forced a refresh, days before its grant needs one."""
    account = await connected(stores, "acme/one")
    await used(due, account, SOME_TIME + 86_400)
    leased = await stores.grants.take_lease(account, "me", some_attempt())
    assert leased is not None
    trouble = Trouble(message="503", since=SOME_TIME, failures=1, retry_at=SOME_TIME + 1)
    await stores.grants.settle(leased, trouble, unanswered=None)
    assert await claimed(due, SOME_TIME + 86_399) == []
    assert await claimed(due, SOME_TIME + 86_400) == ["acme/one"]


async def test_an_ended_grant_is_not_due(stores: Stores, due: DueStore) -> None:
    account = await connected(stores, "acme/one")
    await used(due, account, SOME_TIME)
    await stores.grants.require_consent(account, "over", now=SOME_TIME)
    assert await claimed(due, SOME_TIME + 10**9) == []
    await used(due, await connected(stores, "acme/two"), SOME_TIME)
    assert await claimed(due, SOME_TIME + 10**9) == ["acme/two"]


async def test_several_daemons_get_different_ones(stores: Stores, due: DueStore) -> None:
    for number in range(40):
        await used(due, await connected(stores, f"acme/{number}"), SOME_TIME + number)
    batches = await asyncio.gather(*(due.claim(now=SOME_TIME + 100, limit=10) for _ in range(4)))
    names = [one.name for batch in batches for one in batch]
    assert len(names) == len(set(names))
    rest = await due.claim(now=SOME_TIME + 100, limit=100)
    assert len(names) + len(rest) == 40


async def test_the_longest_overdue_come_first(stores: Stores, due: DueStore) -> None:
    for number in (3, 1, 2):
        await used(due, await connected(stores, f"acme/{number}"), SOME_TIME + number)
    assert await claimed(due, SOME_TIME + 100, 2) == ["acme/1", "acme/2"]


async def test_they_are_found_by_index(stores: Stores) -> None:
    """Among a million rows the few that are due are read, and no other."""
    query = (
        "SELECT id FROM account WHERE state = 'active' AND due_at IS NOT NULL AND due_at <= 5"
        " ORDER BY due_at LIMIT 10"
    )
    async with stores.database.read() as connection:
        if stores.database.is_sqlite:
            rows = await connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))
        else:
            await connection.execute(text("SET LOCAL enable_seqscan = off"))
            rows = await connection.execute(text(f"EXPLAIN {query}"))
        assert "ix_account_due" in str(rows.all())


async def test_processes_that_note_uses_do_not_wait_for_each_other_in_a_circle(
    stores: Stores, due: DueStore, open_database: OpenDatabase
) -> None:
    other = DueStore(open_database(), stores.vault)
    accounts = [await connected(stores, f"acme/{number}") for number in range(50)]
    for number in range(3):
        uses = [
            Used(account_id=one.id, generation=one.generation, renew_at=SOME_TIME - number)
            for one in accounts
        ]
        await asyncio.gather(due.note_used(uses), other.note_used(uses[::-1]))
    assert len(await claimed(due, SOME_TIME)) == len(accounts)
