"""What memory serves, for how long, and what takes it away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from connector import errors
from connector.account import Account
from connector.oauth.token import AccessToken
from connector.providers.client import ProviderDirectory
from connector.runtime import Runtime
from connector.store.accounts import AccountStore
from connector.store.changes import ChangeWatch
from connector.token_source import TokenSource
from connector.token_source.memory import STALENESS_BOUND, TokenMemory
from connector.token_source.remembered import Remembered
from connector.token_source.watch import WATCH_INTERVAL, StoreWatch
from tests.unit.workbench import ACCOUNT, Workbench


@pytest.fixture
async def source(
    bench: Workbench, runtime: Runtime, account: Account
) -> AsyncIterator[TokenSource]:
    """The token source of another process that lives on; its store is checked by hand."""
    async with bench.runtime() as other:
        changes = ChangeWatch(other.database)
        memory = TokenMemory(now=bench.clock.now)
        refresh = other.tokens._refresh
        made = TokenSource(
            memory,
            StoreWatch(
                memory,
                accounts=other.accounts,
                changes=changes,
                kept=refresh.settlement.kept,
                due=other.due,
            ),
            accounts=other.accounts,
            refresh=refresh,
            directory=other.directory,
            now=bench.clock.now,
            has_background=True,
        )
        assert (await made.get(account.name)).value == (await runtime.tokens.get(ACCOUNT)).value
        await made.check_store()
        yield made
        await made.aclose()
        await changes.aclose()


@contextmanager
def store_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that cannot be asked."""

    def fail(*_: object) -> None:
        raise errors.TemporarilyUnavailable("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(AccountStore, "get", fail)
        patch.setattr(AccountStore, "versions", fail)
        patch.setattr(ChangeWatch, "has_changed", fail)
        yield


class TestConfirmed:
    async def test_a_token_is_served_without_the_store(
        self, source: TokenSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with store_away(monkeypatch):
            assert source.memory.hit(ACCOUNT) is not None
            assert (await source.get(ACCOUNT)).value
            assert (await source.get(ACCOUNT, 600)).value

    async def test_nothing_is_served_two_seconds_after_the_last_check(
        self, bench: Workbench, source: TokenSource
    ) -> None:
        bench.clock.advance(STALENESS_BOUND - 0.001)
        assert source.memory.hit(ACCOUNT) is not None
        bench.clock.advance(0.001)
        assert source.memory.hit(ACCOUNT) is None
        assert (await source.get(ACCOUNT)).value, "the store is asked instead"

    async def test_a_clock_that_is_set_back_does_not_lengthen_it(
        self, bench: Workbench, source: TokenSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(source.memory, "_now", lambda: bench.clock.now() - 30)
        assert source.memory.hit(ACCOUNT) is None
        assert source.memory.fresh(ACCOUNT) is None
        await source.check_store()
        assert source.memory.hit(ACCOUNT) is not None

    async def test_counts_from_before_the_store_was_asked(
        self, bench: Workbench, source: TokenSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A check that takes long confirms what was true when it began, not when it ended."""
        has_changed = ChangeWatch.has_changed

        async def slow(watch: ChangeWatch) -> bool:
            changed = await has_changed(watch)
            bench.clock.advance(1.5)
            return changed

        monkeypatch.setattr(ChangeWatch, "has_changed", slow)
        await source.check_store()
        bench.clock.advance(0.6)
        assert source.memory.hit(ACCOUNT) is None

    async def test_what_was_revoked_elsewhere_is_forgotten_at_the_next_check(
        self, runtime: Runtime, account: Account, source: TokenSource
    ) -> None:
        await runtime.revocations.destroy(account, "revoked", now=runtime.now(), is_owed=False)
        await source.check_store()
        assert source.memory.get(ACCOUNT) is None
        with pytest.raises(errors.ConsentRequired, match="revoked"):
            await source.get(ACCOUNT)

    async def test_what_was_revoked_elsewhere_is_not_served_for_two_seconds_without_checks(
        self, bench: Workbench, runtime: Runtime, account: Account, source: TokenSource
    ) -> None:
        await runtime.revocations.destroy(account, "revoked", now=runtime.now(), is_owed=False)
        bench.clock.advance(STALENESS_BOUND)
        with pytest.raises(errors.ConsentRequired, match="revoked"):
            await source.get(ACCOUNT)
        assert source.memory.get(ACCOUNT) is None

    async def test_what_was_replaced_elsewhere_is_replaced_here(
        self, runtime: Runtime, source: TokenSource
    ) -> None:
        renewed = await runtime.tokens.refresh(ACCOUNT)
        await source.check_store()
        assert source.memory.hit(ACCOUNT) is None
        assert await source.get(ACCOUNT) == renewed

    async def test_a_name_that_was_given_to_another_account(
        self, source: TokenSource, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """Both accounts have the same generation; only the identifier tells them apart."""
        other = await bench.connect(runtime, "acme/other", person="grace")
        mine, theirs = (
            runtime.accounts.open_access_token(one).reveal() for one in (account, other)
        )
        assert (await source.get(ACCOUNT)).value == mine
        await source.get("acme/other")
        await source.check_store()
        await runtime.accounts.rename(account, "acme/between")
        await runtime.accounts.rename(other, ACCOUNT)
        await source.check_store()
        assert (await source.get(ACCOUNT)).value == theirs

    async def test_an_account_that_was_forgotten_elsewhere(
        self, runtime: Runtime, account: Account, source: TokenSource
    ) -> None:
        await runtime.accounts.forget(account)
        await source.check_store()
        with pytest.raises(errors.UnknownAccount):
            await source.get(ACCOUNT)

    async def test_what_was_replaced_between_reading_and_remembering_is_noticed(
        self, runtime: Runtime, source: TokenSource, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The store has not changed since the last check, and memory is behind all the same."""
        source.forget(ACCOUNT)
        require = AccountStore.require

        async def and_then_replace(store: AccountStore, name: str) -> Account:
            account = await require(store, name)
            if store is source._reader._accounts:
                await runtime.tokens.refresh(ACCOUNT)
                await source.check_store()  # it sees the change, and has nothing to forget yet
            return account

        with monkeypatch.context() as patch:
            patch.setattr(AccountStore, "require", and_then_replace)
            await source.get(ACCOUNT)
        assert source.memory.hit(ACCOUNT) is not None
        await source.check_store()
        assert source.memory.hit(ACCOUNT) is None


class TestStoreAway:
    async def test_a_working_token_is_served(
        self,
        bench: Workbench,
        source: TokenSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        bench.clock.advance(STALENESS_BOUND)
        with store_away(monkeypatch):
            await source.check_store()
            assert source.memory.hit(ACCOUNT) is None
            token = await source.get(ACCOUNT)
            assert not token.is_short
            bench.clock.advance(3600 - 30 - STALENESS_BOUND)
            assert (await source.get(ACCOUNT)) == replace(token, is_short=True)
            with pytest.raises(errors.TemporarilyUnavailable):
                await source.get(ACCOUNT, is_strict=True)
            with pytest.raises(errors.TemporarilyUnavailable):
                await source.get("acme/never-seen")
            bench.clock.advance(30)
            with pytest.raises(errors.TemporarilyUnavailable, match="away"):
                await source.get(ACCOUNT)
        assert bench.refreshes == 0

    async def test_it_is_told_once_and_checked_in_full_afterwards(
        self,
        runtime: Runtime,
        account: Account,
        source: TokenSource,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with caplog.at_level(logging.WARNING), store_away(monkeypatch):
            for _ in range(5):
                await source.check_store()
        assert caplog.text.count("the store cannot be asked") == 1
        await runtime.revocations.destroy(account, "revoked", now=runtime.now(), is_owed=False)
        await source._watch._changes.has_changed()  # the change itself is not seen any more
        await source.check_store()
        assert source.memory.get(ACCOUNT) is None

    async def test_a_change_that_was_heard_of_and_not_looked_at_is_looked_at_later(
        self,
        runtime: Runtime,
        account: Account,
        source: TokenSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The store goes away between telling of a change and showing it."""
        await runtime.revocations.destroy(account, "revoked", now=runtime.now(), is_owed=False)

        def fail(*_: object) -> None:
            raise errors.TemporarilyUnavailable("the database is away")

        with monkeypatch.context() as patch:
            patch.setattr(AccountStore, "versions", fail)
            await source.check_store()
        assert source.memory.get(ACCOUNT) is not None
        await source.check_store()
        assert source.memory.get(ACCOUNT) is None

    async def test_a_token_that_was_replaced_is_not_served_in_its_place(
        self,
        bench: Workbench,
        runtime: Runtime,
        source: TokenSource,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """The store says that there is a newer one; what is missing is the provider's data."""
        await runtime.tokens.refresh(ACCOUNT)
        bench.clock.advance(STALENESS_BOUND)

        def fail(*_: object) -> None:
            raise errors.TemporarilyUnavailable("no metadata")

        monkeypatch.setattr(ProviderDirectory, "known", fail)
        with pytest.raises(errors.TemporarilyUnavailable, match="no metadata"):
            await source.get(ACCOUNT)

    async def test_the_watch_goes_on_after_a_bug(
        self, bench: Workbench, account: Account, caplog: pytest.LogCaptureFixture
    ) -> None:
        calls = asyncio.Semaphore(0)

        class Broken(ChangeWatch):
            async def has_changed(self) -> bool:
                calls.release()
                raise ZeroDivisionError

        async with bench.runtime() as other:
            memory = TokenMemory(now=bench.clock.now)
            watch = StoreWatch(
                memory,
                accounts=other.accounts,
                changes=Broken(other.database),
                kept=other.tokens._refresh.settlement.kept,
                due=other.due,
            )
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("connector.token_source.watch.WATCH_INTERVAL", 0)
                watch.start()
                watch.start()
                for _ in range(3):
                    await calls.acquire()
                await watch.aclose()
        assert "failed by a bug" in caplog.text
        assert memory.hit(account.name) is None

    def test_checks_are_more_frequent_than_the_bound(self) -> None:
        assert WATCH_INTERVAL * 4 <= STALENESS_BOUND


class TestTokenMemory:
    def remembered(self, *, generation: int = 1, account_id: str = "one") -> Remembered:
        return Remembered(
            token=AccessToken(value=f"token {generation}"),
            account_id=account_id,
            generation=generation,
            provider="acme",
            base_url=None,
            minted_at=0,
            expires_at=1000,
            lifetime=1000,
            margin=200,
            fresh_from=0,
            fresh_until=800,
        )

    @pytest.fixture
    def memory(self) -> TokenMemory:
        made = TokenMemory(now=lambda: 500)
        made.confirm(made.moment())
        return made

    def test_what_is_newer_stays(self, memory: TokenMemory) -> None:
        newer = memory.put("a", self.remembered(generation=2))
        assert memory.put("a", self.remembered(generation=1)) is newer
        assert memory.hit("a") == newer.token

    def test_another_account_of_the_same_name_replaces_it(self, memory: TokenMemory) -> None:
        memory.put("a", self.remembered(generation=2))
        other = self.remembered(generation=1, account_id="two")
        assert memory.put("a", other) is other

    def test_tells_once_what_was_used(self, memory: TokenMemory) -> None:
        for name in ("a", "b", "c"):
            memory.put(name, self.remembered())
        assert memory.hit("a") is not None
        assert memory.hit("b", 10) is not None
        assert [one.token for one in memory.take_used()] == [self.remembered().token] * 2
        assert memory.hit("a") is not None
        assert memory.take_used() == []

    def test_min_ttl_is_met(self, memory: TokenMemory) -> None:
        memory.put("a", self.remembered())
        assert memory.hit("a", 499) is not None
        assert memory.hit("a", 501) is None, "it has 500 s left"

    def test_a_clock_that_was_set_back_is_noticed(self, memory: TokenMemory) -> None:
        memory.put("a", replace(self.remembered(), fresh_from=500))
        assert memory.hit("a") is not None
        memory.put("a", replace(self.remembered(), fresh_from=501))
        assert memory.hit("a") is None
        assert memory.hit("a", 10) is None

    def test_names_what_is_not_verified_once(self, memory: TokenMemory) -> None:
        memory.put("a", self.remembered())
        memory.put("b", self.remembered())
        memory.forget("b")
        memory.forget("never")
        assert memory.take_unverified() == ["a"]
        assert memory.take_unverified() == []
        memory.doubt()
        assert memory.take_unverified() == ["a"]

    def test_quiet_does_not_outlast_the_default_min_ttl(self) -> None:
        stale = self.remembered()
        assert stale.kept_quiet(850).fresh_until == 850
        assert stale.kept_quiet(10_000).fresh_until == 940
        assert stale.kept_quiet(100).fresh_until == 800, "it is fresh for longer anyway"
        endless = replace(stale, expires_at=None, fresh_until=float("inf"))
        assert endless.kept_quiet(850) is endless
