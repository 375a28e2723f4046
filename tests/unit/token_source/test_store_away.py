"""The store is away at the moment of the commit: nothing is lost, nothing is sent twice."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from connector import errors
from connector.account import Account
from connector.journal import Journal
from connector.runtime import Runtime
from connector.store.accounts import AccountStore
from connector.store.grants import GrantStore
from connector.store.pending_write import PendingWrite
from connector.token_source.unanswered import REPLAY_PERIOD
from tests.unit.workbench import ACCOUNT, Workbench

AWAY = errors.TemporarilyUnavailable("the database is away")


@contextmanager
def store_away(error: errors.ConnectorError = AWAY) -> Iterator[None]:
    """Let no process write tokens."""

    async def fail(_self: GrantStore, _write: PendingWrite) -> Account | None:
        raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GrantStore, "apply", fail)
        yield


async def crash(runtime: Runtime) -> None:
    """Leave a runtime as a killed process does: nothing more is written, locks are gone."""
    runtime.journal.close()
    await runtime.tokens._watch.aclose()
    await runtime.changes.aclose()
    await runtime.wire.aclose()
    await runtime.database.aclose()


@pytest.fixture(autouse=True)
def _strict(bench: Workbench) -> None:
    bench.simulator.change({"rotation": "strict_family"})


async def test_the_token_is_given_and_written_as_soon_as_the_store_is_back(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    bench.clock.advance(3600)
    with store_away():
        token = await runtime.tokens.get(ACCOUNT)
        assert (await runtime.tokens.get(ACCOUNT)).value == token.value
        assert (await runtime.accounts.require(ACCOUNT)).generation == account.generation
    await runtime.tokens.check_store()
    after = await runtime.accounts.require(ACCOUNT)
    assert after.generation == account.generation + 1
    assert runtime.accounts.open_access_token(after).reveal() == token.value
    assert (after.attempt, after.lease) == (None, None)
    bench.clock.advance(3600)
    assert (await runtime.tokens.get(ACCOUNT)).value != token.value, "the refresh token was kept"
    assert bench.refreshes == 2


async def test_a_database_that_hangs_is_as_good_as_away(
    bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for it, and a crash meanwhile would cost nothing; it may still write."""
    bench.clock.advance(3600)
    is_back = asyncio.Event()
    apply = GrantStore.apply

    async def hang(self: GrantStore, write: PendingWrite) -> Account | None:
        await is_back.wait()
        return await apply(self, write)

    monkeypatch.setattr("connector.token_source.settlement.COMMIT_PATIENCE", 0.05)
    with monkeypatch.context() as patch:
        patch.setattr(GrantStore, "apply", hang)
        token = await asyncio.wait_for(runtime.tokens.get(ACCOUNT), 10)
        assert len(runtime.journal.held()) == 1
        assert (await runtime.accounts.require(ACCOUNT)).generation == account.generation
    is_back.set()
    await runtime.tokens.check_store()
    assert (await runtime.tokens.get(ACCOUNT)).value == token.value
    assert (await runtime.accounts.require(ACCOUNT)).generation == account.generation + 1
    assert runtime.journal.held() == []


async def test_what_was_read_before_it_was_kept_takes_nothing_away(
    bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is compared with the store while the new token is on its way into the journal."""
    bench.clock.advance(3600)
    versions = AccountStore.versions
    given: list[str] = []

    async def ask_meanwhile(self: AccountStore, names: list[str]) -> dict[str, Any]:
        found = await versions(self, names)
        given.append((await runtime.tokens.get(account.name)).value)
        return found

    await runtime.tokens._reader.read(account.name)  # it has ended, and is to be compared
    with store_away():
        with monkeypatch.context() as patch:
            patch.setattr(AccountStore, "versions", ask_meanwhile)
            await runtime.tokens.check_store()
        present = runtime.tokens.memory.get(account.name)
        assert present is not None, "the store cannot give it"
        assert [present.token.value] == given


async def test_it_runs_out_while_the_store_is_still_away(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    """The old refresh token is not sent again; the next one waits for the store."""
    bench.clock.advance(3600)
    with store_away():
        await runtime.tokens.get(account.name)
        bench.clock.advance(3600)
        with pytest.raises(errors.TemporarilyUnavailable, match="the database is away"):
            await runtime.tokens.get(account.name)
    assert bench.refreshes == 1
    assert (await runtime.tokens.get(account.name)).value
    assert bench.refreshes == 2
    assert bench.simulator.ledger.count(outcome="reuse_detected") == 0


async def test_a_sibling_on_this_host_finds_it_in_the_journal(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    bench.clock.advance(3600)
    with store_away():
        token = await runtime.tokens.get(account.name)
    bench.clock.advance(45 + REPLAY_PERIOD)
    async with bench.runtime() as sibling:
        assert (await sibling.tokens.get(account.name)).value == token.value
    assert bench.refreshes == 1


async def test_answers_that_come_at_once_are_all_kept(bench: Workbench, runtime: Runtime) -> None:
    names = [f"acme/{number}" for number in range(24)]
    for name in names:
        await bench.connect(runtime, name)
    bench.clock.advance(3600)
    with store_away():
        tokens = await asyncio.gather(*(runtime.tokens.get(name) for name in names))
        await crash(runtime)
    async with bench.runtime(has_background=True) as heir:
        for name, token in zip(names, tokens, strict=True):
            assert (await heir.tokens.get(name)).value == token.value
    assert bench.refreshes == len(names)


async def _written(runtime: Runtime) -> None:
    while (await runtime.accounts.require(ACCOUNT)).generation == 1:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("is_daemon", [True, False])
async def test_it_survives_a_crash(bench: Workbench, is_daemon: bool) -> None:  # noqa: FBT001
    async with bench.runtime() as first:
        account = await bench.connect(first)
        bench.clock.advance(3600)
        with store_away():
            token = await first.tokens.get(ACCOUNT)
        await crash(first)
    if not is_daemon:  # it looks only where the lease of the dead has to be taken over
        bench.clock.advance(45 + REPLAY_PERIOD)
    async with bench.runtime(has_background=is_daemon) as second:
        if is_daemon:  # it is written at the start, by itself
            await asyncio.wait_for(_written(second), 10)
        assert (await second.tokens.get(ACCOUNT)).value == token.value
        assert (await second.accounts.require(ACCOUNT)).generation == account.generation + 1
        assert second.journal.held() == []
    assert bench.refreshes == 1


@pytest.mark.parametrize("is_later", [True, False])
async def test_what_cannot_be_read_is_not_guessed_at_and_stops_nobody(
    bench: Workbench,
    runtime: Runtime,
    account: Account,
    is_later: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A later version of this program has written it, or a disk has."""
    bench.clock.advance(3600)
    with store_away():
        await runtime.tokens.get(account.name)
    (kept,) = runtime.journal.held()
    payload = kept.payload.replace(b'"version": 2', b'"version": 3') if is_later else b"{"
    assert payload != kept.payload
    runtime.journal.settle(kept)
    runtime.journal.keep(replace(kept, payload=payload))
    await runtime.tokens.check_store()
    assert (await runtime.accounts.require(ACCOUNT)).generation == account.generation
    other = await bench.connect(runtime, "acme/other", person="grace")
    assert (await runtime.tokens.get(other.name)).value


async def test_an_orderly_end_writes_it(bench: Workbench) -> None:
    async with bench.runtime() as first:
        await bench.connect(first)
        bench.clock.advance(3600)
        with store_away():
            token = await first.tokens.get(ACCOUNT)
    async with bench.runtime() as second:
        account = await second.accounts.require(ACCOUNT)
        assert second.accounts.open_access_token(account).reveal() == token.value


async def test_a_store_that_is_damaged_costs_no_token_either(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    bench.clock.advance(3600)
    with store_away(errors.VaultSealed("the database is damaged", "Restore it.")):
        token = await runtime.tokens.get(account.name)
    assert [record.account_id for record in runtime.journal.held()] == [account.id]
    await runtime.tokens.check_store()
    assert (await runtime.tokens.get(account.name)).value == token.value
    assert bench.refreshes == 1


async def test_newer_tokens_are_not_overwritten(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    bench.clock.advance(3600)
    with store_away():
        old = await runtime.tokens.get(ACCOUNT)
    async with bench.runtime() as other:
        again = await bench.connect(other)  # the person consents anew meanwhile
    await runtime.tokens.check_store()
    assert runtime.journal.held() == []
    assert await runtime.accounts.require(ACCOUNT) == again
    assert (await runtime.tokens.get(account.name)).value != old.value


async def test_neither_store_nor_journal(
    bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not durable is handed to nobody (I2); it is not thrown away either."""
    bench.clock.advance(3600)

    def fail(_self: Journal, _record: object) -> None:
        raise errors.TemporarilyUnavailable("the disk is full")

    with store_away(), monkeypatch.context() as patch:
        patch.setattr(Journal, "keep", fail)
        for _ in range(2):
            with pytest.raises(errors.TemporarilyUnavailable):
                await runtime.tokens.get(account.name)
    assert bench.refreshes == 1
    assert (await runtime.accounts.require(ACCOUNT)).generation == account.generation
    await runtime.tokens.check_store()
    assert (await runtime.accounts.require(ACCOUNT)).generation == account.generation + 1
    assert (await runtime.tokens.get(account.name)).value
    assert bench.refreshes == 1


async def test_neither_store_nor_journal_until_somebody_asks(
    bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.clock.advance(3600)

    def fail(_self: Journal, _record: object) -> None:
        raise errors.TemporarilyUnavailable("the disk is full")

    with store_away(), monkeypatch.context() as patch:
        patch.setattr(Journal, "keep", fail)
        with pytest.raises(errors.TemporarilyUnavailable, match="the disk is full"):
            await runtime.tokens.get(account.name)
    assert (await runtime.tokens.get(account.name)).value
    assert bench.refreshes == 1


async def test_nothing_is_sent_where_no_answer_could_be_kept(
    bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.clock.advance(3600)

    def fail(_self: Journal) -> None:
        raise errors.TemporarilyUnavailable("the disk is full")

    monkeypatch.setattr(Journal, "prepare", fail)
    with pytest.raises(errors.TemporarilyUnavailable, match="the disk is full"):
        await runtime.tokens.get(account.name)
    assert bench.refreshes == 0


async def test_the_journal_holds_no_secret(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    bench.clock.advance(3600)
    with store_away():
        token = await runtime.tokens.get(account.name)
        (path,) = runtime.journal.folder.glob("*.journal")
        text = path.read_bytes()
    assert account.id.encode() in text
    assert token.value.encode() not in text
