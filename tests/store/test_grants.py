"""Writes of tokens: compare-and-swap on the generation, and what each leaves behind."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection

from connector.account import Account, ConsentRequired, Terms, Trouble
from connector.errors import TemporarilyUnavailable
from connector.oauth.token import TokenSet
from connector.secret import Secret
from connector.store.database import Database
from connector.store.grants import Consent, GrantStore, NewTokens
from connector.store.group_commit import LARGEST_GROUP
from connector.testing import SOME_TIME, Stores, connected, some_attempt, some_tokens
from tests.cancelling import CancelledAt

from .conftest import OpenDatabase
from .worker import Crew, Worker

TROUBLE = Trouble(message="503", since=SOME_TIME, failures=3, retry_at=SOME_TIME + 60)


async def test_a_consent_is_kept_whole(stores: Stores) -> None:
    account = await stores.accounts.begin("acme/one", "acme", now=SOME_TIME)
    terms = Terms(
        token_type="Bearer",
        scope=("ads_read", "ads_write"),
        minted_at=SOME_TIME,
        expires_at=SOME_TIME + 3600.5,
        lifetime=3600.5,
        consented_at=SOME_TIME,
        consent_ends_at=SOME_TIME + 86_400,
    )
    extra = {"instance_url": "https://eu.example", "nested": {"list": [1, None, "é"]}}
    new = replace(some_tokens(), terms=terms, extra=extra)
    consent = Consent(
        provider="acme", fingerprint="registration", subject="17", subject_name="Jane Doe"
    )
    active = await stores.grants.activate(account, new, consent)
    assert active is not None
    assert active == await stores.accounts.require("acme/one")
    assert active.state_name == "active"
    assert active.generation == 1
    assert active.grant is not None
    assert active.grant.terms == terms
    assert (active.grant.subject, active.grant.subject_name) == ("17", "Jane Doe")
    assert active.grant.fingerprint == "registration"
    assert stores.accounts.open_extra(active) == extra


async def test_what_was_not_told_is_not_made_up(stores: Stores) -> None:
    account = await stores.accounts.begin("acme/one", "acme", now=SOME_TIME)
    terms = replace(some_tokens().terms, scope=None, expires_at=None, lifetime=None)
    new = replace(some_tokens(), terms=terms, refresh_token=None)
    active = await stores.grants.activate(
        account, new, Consent(provider="acme", fingerprint="registration")
    )
    assert active is not None
    assert active.grant is not None
    assert active.grant.terms == terms
    assert active.grant.subject is None
    assert stores.accounts.open_refresh_token(active) is None
    assert stores.accounts.open_extra(active) == {}


async def test_an_empty_scope_is_not_an_unknown_one(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    terms = replace(some_tokens().terms, scope=())
    renewed = await stores.grants.renew(account, replace(some_tokens("2"), terms=terms))
    assert renewed is not None
    assert renewed.grant is not None
    assert renewed.grant.terms.scope == ()


async def test_a_refresh_replaces_tokens_and_raises_the_generation(stores: Stores) -> None:
    before = await connected(stores, "acme/one")
    renewed = await stores.grants.renew(before, some_tokens("2", at=SOME_TIME + 60))
    assert renewed is not None
    assert renewed.generation == before.generation + 1
    assert stores.accounts.open_access_token(renewed) == Secret("access-2")
    assert stores.accounts.open_refresh_token(renewed) == Secret("refresh-2")
    assert renewed.grant is not None
    assert renewed.grant.subject == "17", "a refresh does not change who consented"


async def test_a_refresh_token_that_did_not_rotate_is_kept(stores: Stores) -> None:
    before = await connected(stores, "acme/one")
    new = replace(some_tokens("2"), refresh_token=stores.accounts.open_refresh_token(before))
    renewed = await stores.grants.renew(before, new)
    assert renewed is not None
    assert stores.accounts.open_access_token(renewed) == Secret("access-2")
    assert stores.accounts.open_refresh_token(renewed) == Secret("refresh-1")


async def test_a_loser_changes_nothing(stores: Stores) -> None:
    before = await connected(stores, "acme/one")
    winner = await stores.grants.renew(before, some_tokens("winner"))
    assert await stores.grants.renew(before, some_tokens("late")) is None
    assert await stores.grants.require_consent(before, "late", now=SOME_TIME) is None
    consent = Consent(provider="late", fingerprint="late")
    assert await stores.grants.activate(before, some_tokens("late"), consent) is None
    assert await stores.grants.take_lease(before, "late", some_attempt()) is None
    assert await stores.accounts.require("acme/one") == winner


async def test_of_processes_that_write_at_once_one_wins(
    stores: Stores, workers: Crew, address: str
) -> None:
    await connected(stores, "acme/one")
    orders: list[dict[str, object]] = [
        {"url": address, "name": "acme/one", "tokens": f"{i}"} for i in range(6)
    ]
    results = workers.run("renew", orders)
    assert results.count(True) == 1
    account = await stores.accounts.require("acme/one")
    winner = results.index(True)
    assert account.generation == 2
    assert stores.accounts.open_access_token(account) == Secret(f"access-{winner}")
    assert stores.accounts.open_refresh_token(account) == Secret(f"refresh-{winner}")


async def _in_trouble(stores: Stores) -> Account:
    """An account under a lease, with an attempt of unknown outcome and a row of failures."""
    first = await stores.grants.take_lease(
        await connected(stores, "acme/one"), "first", some_attempt()
    )
    assert first is not None
    settled = await stores.grants.settle(first, TROUBLE, unanswered=first.attempt)
    assert settled is not None
    second = await stores.grants.take_lease(settled, "second", some_attempt())
    assert second is not None
    assert second.lease is not None
    assert second.attempt is not None
    assert second.trouble == TROUBLE
    return second


async def test_a_refresh_clears_lease_attempt_and_trouble(stores: Stores) -> None:
    renewed = await stores.grants.renew(await _in_trouble(stores), some_tokens("2"))
    assert renewed is not None
    assert (renewed.lease, renewed.attempt, renewed.trouble) == (None, None, None)


async def test_a_consent_clears_lease_attempt_and_trouble(stores: Stores) -> None:
    active = await stores.grants.activate(
        await _in_trouble(stores),
        some_tokens("2"),
        Consent(provider="acme", fingerprint="registration"),
    )
    assert active is not None
    assert (active.lease, active.attempt, active.trouble) == (None, None, None)


async def test_an_ended_grant_keeps_its_ciphertext_and_generation(stores: Stores) -> None:
    troubled = await _in_trouble(stores)
    ended = await stores.grants.require_consent(troubled, "invalid_grant", now=SOME_TIME + 9)
    assert ended is not None
    assert ended.state == ConsentRequired(
        reason="invalid_grant", since=SOME_TIME + 9, grant=troubled.grant
    )
    assert ended.generation == troubled.generation
    assert (ended.lease, ended.attempt, ended.trouble) == (None, None, None)
    assert stores.accounts.open_refresh_token(ended) == Secret("refresh-1")
    assert await stores.grants.take_lease(ended, "me", some_attempt()) is None, "nothing is sent"


async def test_an_end_is_taken_back_only_where_it_was_for_the_reason_that_is_doubted(
    stores: Stores,
) -> None:
    doubted, certain = [await connected(stores, f"acme/{name}") for name in ("a", "b")]
    await stores.grants.require_consent(doubted, "invalid_grant", now=SOME_TIME)
    await stores.grants.require_consent(certain, "revoked here", now=SOME_TIME)
    for account in (doubted, certain):
        await stores.grants.undo_end(account.name, "invalid_grant")
    assert (await stores.accounts.require("acme/a")).state_name == "active"
    assert (await stores.accounts.require("acme/b")).state_name == "consent_required"


async def test_a_person_brings_an_ended_grant_back(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    ended = await stores.grants.require_consent(account, "invalid_grant", now=SOME_TIME)
    assert ended is not None
    consent = Consent(provider="acme", fingerprint="registration", subject="17")
    active = await stores.grants.activate(ended, some_tokens("2"), consent)
    assert active is not None
    assert active.state_name == "active"
    assert stores.accounts.open_refresh_token(active) == Secret("refresh-2")


async def test_tokens_that_come_late_bring_back_what_another_owner_gave_up(stores: Stores) -> None:
    """One owner sleeps with the new tokens in hand; the next one sends the old one, is refused."""
    sleeper = await stores.grants.take_lease(
        await connected(stores, "acme/one"), "sleeper", some_attempt()
    )
    assert sleeper is not None
    await stores.grants.require_consent(sleeper, "invalid_grant", now=SOME_TIME + 60)
    renewed = await stores.grants.renew(sleeper, some_tokens("2", at=SOME_TIME + 1))
    assert renewed is not None
    assert renewed.state_name == "active", "the provider has shown that the grant lives"
    assert stores.accounts.open_refresh_token(renewed) == Secret("refresh-2")


async def test_tokens_that_come_late_do_not_undo_a_revocation(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=False)
    assert await stores.grants.renew(account, some_tokens("2")) is None
    assert (await stores.accounts.require("acme/one")).grant is None


async def test_no_writer_brings_back_a_forgotten_account(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    await stores.accounts.forget(account)
    assert await stores.grants.renew(account, some_tokens("2")) is None
    assert await stores.grants.take_lease(account, "me", some_attempt()) is None
    assert await stores.accounts.get("acme/one") is None


ODD = "odd\0\ud800é"


async def test_odd_words_of_a_provider_cost_no_token(stores: Stores) -> None:
    """JSON may hold a NUL, which Postgres refuses, and surrogates, which UTF-8 does not have."""
    account = await stores.accounts.begin("acme/one", "acme", now=SOME_TIME)
    tokens = TokenSet(
        access_token=Secret("access-1"),
        token_type=ODD,
        refresh_token=Secret(ODD),
        sent_at=SOME_TIME,
    )
    terms = replace(some_tokens().terms, token_type=ODD, scope=(ODD,))
    new = NewTokens(
        tokens=tokens, terms=terms, refresh_token=tokens.refresh_token, extra={ODD: ODD}
    )
    consent = Consent(provider="acme", fingerprint="f", subject=ODD, subject_name=ODD)
    active = await stores.grants.activate(account, new, consent)
    assert active is not None
    assert stores.accounts.open_refresh_token(active).reveal() == ODD  # type: ignore[union-attr]
    assert stores.accounts.open_extra(active) == {ODD: ODD}
    assert active.grant is not None
    assert active.grant.subject_name == "odd\N{REPLACEMENT CHARACTER}?é"
    leased = await stores.grants.take_lease(active, "me", some_attempt())
    assert leased is not None
    trouble = replace(TROUBLE, message=ODD)
    assert await stores.grants.settle(leased, trouble, unanswered=None) is not None
    assert await stores.grants.require_consent(active, ODD, now=SOME_TIME) is not None
    assert stores.vault.fingerprint(Secret(ODD)) != stores.vault.fingerprint(Secret("odd"))


async def test_a_process_killed_before_its_commit_has_written_nothing(
    stores: Stores, worker: Worker, address: str
) -> None:
    account = await connected(stores, "acme/one")
    worker.order("die_while_writing", url=address, name="acme/one")
    worker.wait_until_ready()
    worker.go()
    worker.wait_until_dead()
    assert await stores.accounts.require("acme/one") == account
    assert await stores.grants.renew(account, some_tokens("2")) is not None, "it left no lock"


async def test_a_writer_that_is_cancelled_anywhere_leaves_no_lock(stores: Stores) -> None:
    """All or nothing is written; the next writer goes on, and no connection is lost."""
    for suspension in itertools.count(1):
        account = await connected(stores, f"acme/{suspension}")
        renamed = f"acme/renamed-{suspension}"
        work = CancelledAt(stores.accounts.rename(account, renamed), suspension)

        async def write(work: CancelledAt[bool] = work) -> None:
            await work

        (outcome,) = await asyncio.gather(asyncio.create_task(write()), return_exceptions=True)
        names = {one.name for one in await stores.accounts.all() if one.id == account.id}
        assert names in ({account.name}, {renamed})
        assert await stores.grants.renew(account, some_tokens("3")) is not None
        assert stores.database.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        if outcome is None:
            break
        assert isinstance(outcome, asyncio.CancelledError)
    assert suspension > 3, "it was cancelled nowhere"


async def test_tokens_are_written_though_who_asked_for_it_gave_up(stores: Stores) -> None:
    account = await connected(stores, "acme/one")
    writing = asyncio.create_task(stores.grants.renew(account, some_tokens("2")))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert await stores.grants.renew(account, some_tokens("late")) is None
    current = await stores.accounts.require(account.name)
    assert stores.accounts.open_refresh_token(current) == Secret("refresh-2")


async def test_who_gives_up_is_no_failure_of_those_in_the_same_group(stores: Stores) -> None:
    one, two, three = [await connected(stores, f"acme/{number}") for number in range(3)]
    asking = [
        asyncio.create_task(stores.grants.renew(account, some_tokens("2")))
        for account in (one, two, three)
    ]
    await asyncio.sleep(0)
    asking[0].cancel()
    gave_up, *renewed = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(gave_up, asyncio.CancelledError)
    assert [one.generation if isinstance(one, Account) else one for one in renewed] == [2, 2]
    assert (await stores.accounts.require(one.name)).generation == 2


def count_commits(monkeypatch: pytest.MonkeyPatch) -> list[Database]:
    """Give a list that grows with each transaction in which groups are written."""
    commits: list[Database] = []
    transact = Database.transact

    async def counted(database: Database, work: Callable[[Connection], Any]) -> Any:
        commits.append(database)
        return await transact(database, work)

    monkeypatch.setattr(Database, "transact", counted)
    return commits


async def test_writers_that_wait_share_a_commit(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit costs an fsync: fifty accounts that are renewed at once take a few."""
    accounts = [await connected(stores, f"acme/{number}") for number in range(50)]
    commits = count_commits(monkeypatch)
    renewed = await asyncio.gather(
        *(stores.grants.renew(account, some_tokens(account.name)) for account in accounts),
        stores.grants.renew(accounts[0], some_tokens("late")),
    )
    assert [one.name if one else None for one in renewed] == [one.name for one in accounts] + [None]
    assert 0 < len(commits) < 10
    for account in accounts:
        current = await stores.accounts.require(account.name)
        token = stores.accounts.open_access_token(current).reveal()
        assert token == f"access-{account.name}"


async def test_a_group_has_an_end(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its locks are held together: nobody else's statement is to wait for hundreds."""
    accounts = [await connected(stores, f"acme/{number}") for number in range(LARGEST_GROUP + 10)]
    commits = count_commits(monkeypatch)
    renewed = await asyncio.gather(
        *(stores.grants.renew(account, some_tokens("2")) for account in accounts)
    )
    assert None not in renewed
    assert len(commits) == 2


async def test_a_statement_that_fails_is_nobody_elses_failure(stores: Stores) -> None:
    good, bad = await connected(stores, "acme/good"), await connected(stores, "acme/bad")
    broken = replace(some_tokens("2"), terms=replace(some_tokens("2").terms, minted_at=object()))  # type: ignore[arg-type]
    results = await asyncio.gather(
        stores.grants.renew(good, some_tokens("2")),
        stores.grants.renew(bad, broken),
        stores.grants.renew(await connected(stores, "acme/too"), some_tokens("2")),
        return_exceptions=True,
    )
    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    assert (await stores.accounts.require("acme/good")).generation == 2
    assert (await stores.accounts.require("acme/bad")).generation == 1


async def test_groups_of_two_processes_do_not_wait_for_each_other_in_a_circle(
    stores: Stores, open_database: OpenDatabase
) -> None:
    """Each locks many rows: whoever took them in an order of its own would deadlock on Postgres."""
    accounts = [await connected(stores, f"acme/{number}") for number in range(LARGEST_GROUP)]
    others = GrantStore(open_database(), stores.vault)
    for number in range(3):
        leased, refused = await asyncio.gather(
            asyncio.gather(
                *(stores.grants.require_consent(one, "1", now=SOME_TIME) for one in accounts)
            ),
            asyncio.gather(
                *(others.require_consent(one, "2", now=SOME_TIME) for one in accounts[::-1])
            ),
        )
        assert None not in {*leased, *refused}, number


async def test_a_database_that_is_away_is_waited_for_once_by_all(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = [await connected(stores, f"acme/{number}") for number in range(5)]
    asked = 0

    async def away(_database: Database, _work: object) -> None:
        nonlocal asked
        asked += 1
        raise TemporarilyUnavailable("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "transact", away)
        results = await asyncio.gather(
            *(stores.grants.renew(account, some_tokens("2")) for account in accounts),
            return_exceptions=True,
        )
    assert all(isinstance(result, TemporarilyUnavailable) for result in results)
    assert asked <= 2
