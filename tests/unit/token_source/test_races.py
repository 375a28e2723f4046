"""One refresh per expiry, whoever asks; and what becomes of those who come late."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from sqlalchemy import text

from connector import errors
from connector.account import Account, Attempt
from connector.oauth.token import AccessToken
from connector.oauth.wire import CONNECT_TIMEOUT, DEADLINE
from connector.oauth.wire import DRAIN_TIME as WIRE_DRAIN
from connector.runtime import Runtime
from connector.store.changes import UNCOUNTED
from connector.store.grant_statements import LEASE_DURATION
from connector.store.grants import GrantStore
from connector.store.owner import new_owner
from connector.token_source.flights import DRAIN_TIME, Flight
from connector.token_source.sending import SENDING_TIME
from connector.token_source.unanswered import REPLAY_PERIOD
from tests.unit.workbench import ACCOUNT, Workbench, dead_owner

#: In another container: nothing can be told of its processes.
ELSEWHERE = ":".join((new_owner().split(":")[0], "4026530000", "1", "1", "0123456789abcdef"))


async def take_lease(runtime: Runtime, account: Account, owner: str) -> Account:
    """Leave an account as an owner does that has just sent its refresh token."""
    refresh_token = runtime.accounts.open_refresh_token(account)
    assert refresh_token is not None
    attempt = Attempt(
        sent_at=runtime.now(),
        first_sent_at=runtime.now(),
        count=1,
        token_fingerprint=runtime.accounts.fingerprint(refresh_token),
        fence=0,
    )
    leased = await runtime.grants.take_lease(account, owner, attempt)
    assert leased is not None
    return leased


def pass_time(
    runtime: Runtime, bench: Workbench, also: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> list[float]:
    """Let waiting for another owner pass at once, on the clock; give the waits."""
    waits: list[float] = []

    async def wait(seconds: float, *, account: str, since: int) -> None:
        assert account == ACCOUNT
        if since == UNCOUNTED:
            return
        assert since == runtime.changes.count
        waits.append(seconds)
        bench.clock.advance(seconds)
        if also is not None:
            await also()

    runtime.tokens._refresh._wait = wait  # type: ignore[assignment]
    return waits


class TestInOneProcess:
    async def test_two_hundred_tasks_and_one_request(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.simulator.change({"rotation": "strict_family"})
        bench.clock.advance(3600)
        tokens = await asyncio.gather(*(runtime.tokens.get(ACCOUNT) for _ in range(200)))
        assert len({token.value for token in tokens}) == 1
        assert tokens[0].value != runtime.accounts.open_access_token(account).reveal()
        assert bench.refreshes == 1

    async def test_all_get_the_one_error(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("status", retry_after="90", times=None)
        results = await asyncio.gather(
            *(runtime.tokens.get(account.name) for _ in range(100)), return_exceptions=True
        )
        assert {str(result) for result in results} == {str(results[0])}
        assert isinstance(results[0], errors.TemporarilyUnavailable)
        assert bench.refreshes == 1

    async def test_all_learn_that_the_grant_has_ended(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.simulator.state.revoke("ada")
        results = await asyncio.gather(
            *(runtime.tokens.get(account.name) for _ in range(50)), return_exceptions=True
        )
        assert all(isinstance(result, errors.ConsentRequired) for result in results)
        assert bench.refreshes == 1

    async def test_a_forced_refresh_joins_the_one_under_way(
        self, bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("hold")
        first = asyncio.create_task(runtime.tokens.get(ACCOUNT))
        await bench.held()
        joined = asyncio.Event()
        start_flight = runtime.tokens._flights.start

        def join(*arguments: Any, **options: Any) -> Flight:
            joined.set()
            return start_flight(*arguments, **options)

        monkeypatch.setattr(runtime.tokens._flights, "start", join)
        second = asyncio.create_task(runtime.tokens.refresh(account.name, ignore_backoff=True))
        await joined.wait()
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert names.count(f"refresh {ACCOUNT}") == 1
        bench.release()
        assert await first == await second
        assert bench.refreshes == 1

    async def test_accounts_do_not_wait_for_each_other(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        other = await bench.connect(runtime, "acme/other", person="grace")
        bench.clock.advance(3600)
        bench.fault("hold", person="ada")
        held = asyncio.create_task(runtime.tokens.get(account.name))
        await bench.held()
        assert (await runtime.tokens.get(other.name)).value
        assert not held.done()
        bench.release()
        assert (await held).value


class TestCancelled:
    @pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55])
    async def test_a_caller_that_gives_up_does_not_cancel_the_refresh(
        self, bench: Workbench, runtime: Runtime, account: Account, steps: int
    ) -> None:
        bench.simulator.change({"rotation": "strict_family"})
        bench.clock.advance(3600)
        asking = asyncio.create_task(runtime.tokens.get(account.name))
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        if runtime.tokens._flights.under_way():
            await asyncio.wait(runtime.tokens._flights.under_way())
        token = await runtime.tokens.get(account.name)
        assert token.value != runtime.accounts.open_access_token(account).reveal()
        assert bench.refreshes == 1
        assert (await runtime.accounts.require(ACCOUNT)).generation == 2

    async def test_all_give_up_while_the_request_is_under_way(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("hold", when="after")
        asking = [asyncio.create_task(runtime.tokens.get(account.name)) for _ in range(20)]
        await bench.held()
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        bench.release()
        await asyncio.wait(runtime.tokens._flights.under_way())
        after = await runtime.accounts.require(ACCOUNT)
        assert (after.generation, after.attempt) == (2, None)
        assert (await runtime.tokens.get(account.name)).value
        assert bench.refreshes == 1

    async def test_a_failure_that_nobody_waits_for_is_no_noise(
        self,
        bench: Workbench,
        runtime: Runtime,
        account: Account,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("hold", when="after")
        asking = asyncio.create_task(runtime.tokens.get(account.name))
        await bench.held()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        bench.simulator.stop()
        await asyncio.wait(runtime.tokens._flights.under_way())
        assert {record.levelname for record in caplog.records} == {"WARNING"}
        bench.simulator.start()


class TestTwoProcesses:
    async def test_one_refreshes_and_the_other_gets_its_token(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.simulator.change({"rotation": "strict_family"})
        bench.clock.advance(3600)
        bench.fault("hold", when="after")
        async with bench.runtime() as other:
            first = asyncio.create_task(runtime.tokens.get(account.name))
            await bench.held()

            async def release_later() -> None:
                if len(waits) == 5:
                    bench.release()
                    await first

            waits = pass_time(other, bench, release_later)
            second = await other.tokens.get(account.name)
            assert second == await first
            assert waits == [0.5] * 5
        assert bench.refreshes == 1
        assert bench.simulator.ledger.count(outcome="reuse_detected") == 0

    async def test_the_other_gets_the_winners_error(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("status", gate="gate", retry_after="120")
        async with bench.runtime() as other:
            first = asyncio.create_task(runtime.tokens.get(account.name))
            await bench.held()

            async def release() -> None:
                bench.release()
                await asyncio.wait([first])

            pass_time(other, bench, release)
            with pytest.raises(errors.TemporarilyUnavailable, match="HTTP 503") as caught:
                await other.tokens.get(account.name)
            with pytest.raises(errors.TemporarilyUnavailable) as winners:
                await first
            assert caught.value.retry_at == winners.value.retry_at
        assert bench.refreshes == 1

    async def test_many_at_once(self, bench: Workbench, runtime: Runtime, account: Account) -> None:
        """Eight owners on one vault, each with ten callers."""
        bench.simulator.change({"rotation": "strict_family"})
        bench.clock.advance(3600)
        runtimes = [bench.runtime() for _ in range(7)]
        opened = [runtime, *[await one.__aenter__() for one in runtimes]]
        try:
            tokens: list[AccessToken] = await asyncio.gather(
                *(one.tokens.get(account.name) for one in opened for _ in range(10))
            )
        finally:
            for one in runtimes:
                await one.__aexit__(None, None, None)
        assert len({token.value for token in tokens}) == 1
        assert bench.refreshes == 1
        assert bench.simulator.ledger.count(outcome="reuse_detected") == 0

    async def test_backoff_is_shared(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("status", retry_after="3600", times=None)
        with pytest.raises(errors.TemporarilyUnavailable):
            await runtime.tokens.get(account.name)
        async with bench.runtime() as other:
            with pytest.raises(errors.TemporarilyUnavailable):
                await other.tokens.get(account.name)
        assert bench.refreshes == 1

    async def test_invalid_grant_because_a_sibling_was_faster(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """Our request is late, beyond its lease: the sibling's token is as good."""
        bench.clock.advance(3600)
        bench.fault("hold", when="before")
        late = asyncio.create_task(runtime.tokens.get(account.name))
        await bench.held()
        bench.clock.advance(LEASE_DURATION + REPLAY_PERIOD)
        async with bench.runtime() as sibling:
            token = await sibling.tokens.get(account.name)
        bench.release()
        assert await late == token
        assert bench.simulator.ledger.count(outcome="reuse_detected") == 1
        after = await runtime.accounts.require(ACCOUNT)
        assert (after.state_name, after.generation) == ("active", 2)

    async def test_a_losers_late_answer_changes_nothing(
        self,
        bench: Workbench,
        runtime: Runtime,
        account: Account,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        bench.simulator.change({"rotation": "grace", "grace_seconds": 600})
        bench.clock.advance(3600)
        bench.fault("hold", when="after")
        late = asyncio.create_task(runtime.tokens.get(account.name))
        await bench.held()
        bench.clock.advance(LEASE_DURATION + REPLAY_PERIOD)
        async with bench.runtime() as sibling:
            token = await sibling.tokens.get(account.name)
        bench.release()
        assert await late == token
        assert "another process wrote first" in caplog.text
        assert (await runtime.accounts.require(ACCOUNT)).generation == 2

    async def test_a_late_winner_is_kept_where_its_sibling_gave_up(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """The sibling sent the spent token and ended the grant: the answer shows that it lives."""
        bench.clock.advance(3600)
        bench.fault("hold", when="after")
        late = asyncio.create_task(runtime.tokens.get(account.name))
        await bench.held()
        bench.clock.advance(LEASE_DURATION + REPLAY_PERIOD)
        async with bench.runtime() as sibling:
            with pytest.raises(errors.ConsentRequired, match="rotation lost"):
                await sibling.tokens.get(account.name)
            bench.release()
            token = await late
            assert (await runtime.accounts.require(ACCOUNT)).state_name == "active"
            assert (await sibling.tokens.get(account.name)).value == token.value


class TestLease:
    async def test_of_a_dead_owner_is_taken_over_at_once(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        await take_lease(runtime, account, dead_owner())
        waits = pass_time(runtime, bench)
        assert (await runtime.tokens.get(ACCOUNT)).value
        assert (waits, bench.refreshes) == ([], 1)

    async def test_of_its_own_that_could_not_be_given_back_is_taken_again_at_once(
        self, bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The store was away when a failure was to be noted; nobody waits out our own lease."""
        bench.clock.advance(3600)
        bench.fault("status", status=503)

        async def fail(*_: object, **__: object) -> None:
            raise errors.TemporarilyUnavailable("the database is away")

        with monkeypatch.context() as patch:
            patch.setattr(GrantStore, "settle", fail)
            with pytest.raises(errors.TemporarilyUnavailable, match="the database is away"):
                await runtime.tokens.get(account.name)
        assert (await runtime.accounts.require(ACCOUNT)).lease is not None
        waits = pass_time(runtime, bench)
        assert (await runtime.tokens.get(account.name)).value
        assert waits == []

    async def test_killed_before_it_sent(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """Perhaps it was sent, perhaps not: the same token is tried again (R4)."""
        bench.clock.advance(3600)
        await take_lease(runtime, account, dead_owner())
        bench.fault("hold")
        asking = asyncio.create_task(runtime.tokens.get(ACCOUNT))
        await bench.held()
        attempt = (await runtime.accounts.require(ACCOUNT)).attempt
        assert attempt is not None
        assert attempt.count == 2
        bench.release()
        assert (await asking).value

    async def test_killed_after_it_had_sent_another_token(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """What was sent of another token says nothing of how often this one was."""
        bench.clock.advance(3600)
        leased = await take_lease(runtime, account, dead_owner())
        async with runtime.database.write() as connection:
            await connection.execute(text("UPDATE account SET attempt_fingerprint = 'another'"))
        bench.fault("hold")
        asking = asyncio.create_task(runtime.tokens.get(ACCOUNT))
        await bench.held()
        attempt = (await runtime.accounts.require(ACCOUNT)).attempt
        assert attempt is not None
        assert leased.attempt is not None
        assert (attempt.count, attempt.first_sent_at) == (1, bench.clock.now())
        assert attempt.token_fingerprint == leased.attempt.token_fingerprint
        bench.release()
        assert (await asking).value

    async def test_killed_after_it_sent(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """It was sent, and its answer died with its owner (R5, R6)."""
        bench.clock.advance(3600)
        await take_lease(runtime, account, dead_owner())
        client = await runtime.directory.get("acme")
        refresh_token = runtime.accounts.open_refresh_token(account)
        assert refresh_token is not None
        await client.endpoint.refresh(refresh_token, {})
        with pytest.raises(errors.ConsentRequired, match="rotation lost"):
            await runtime.tokens.get(ACCOUNT)

    @pytest.mark.parametrize("rotation", ["none", "grace", "lazy"])
    async def test_of_another_host_is_waited_out(self, bench: Workbench, rotation: str) -> None:
        bench.configure(acme=f'refresh_token = {{ rotation = "{rotation}" }}')
        async with bench.runtime() as runtime:
            account = await bench.connect(runtime)
            bench.clock.advance(3600)
            await take_lease(runtime, account, ELSEWHERE)
            waits = pass_time(runtime, bench)
            assert (await runtime.tokens.get(ACCOUNT)).value
        assert LEASE_DURATION <= sum(waits) <= LEASE_DURATION + 0.5
        assert max(waits) == 0.5
        assert bench.refreshes == 1

    async def test_of_another_host_that_may_hold_the_answer_is_given_more_time(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        """Its journal may hold the only token that works: ours would be taken for theft."""
        bench.clock.advance(3600)
        leased = await take_lease(runtime, account, ELSEWHERE)
        pass_time(runtime, bench)
        for _ in range(2):
            with pytest.raises(
                errors.TemporarilyUnavailable, match="may hold the answer"
            ) as caught:
                await runtime.tokens.get(ACCOUNT)
            assert leased.lease is not None
            assert caught.value.retry_at is not None
            assert caught.value.retry_at.timestamp() == leased.lease.until + REPLAY_PERIOD
        assert bench.refreshes == 0
        bench.clock.advance(REPLAY_PERIOD)
        assert (await runtime.tokens.get(ACCOUNT)).value
        assert bench.refreshes == 1

    async def test_that_never_ends_is_no_credential_failure(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        bench.clock.advance(3600)
        await take_lease(runtime, account, ELSEWHERE)

        async def prolong() -> None:
            async with runtime.database.write() as connection:
                until = bench.clock.now() + LEASE_DURATION
                statement = text("UPDATE account SET lease_until = :until")
                await connection.execute(statement, {"until": until})

        pass_time(runtime, bench, prolong)
        with pytest.raises(errors.TemporarilyUnavailable, match="for too long") as caught:
            await runtime.tokens.get(ACCOUNT)
        assert caught.value.retry_at is not None
        assert (await runtime.accounts.require(ACCOUNT)).state_name == "active"
        assert bench.refreshes == 0

    async def test_what_stood_still_does_not_send(
        self, bench: Workbench, runtime: Runtime, account: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Between lease and first byte another owner may have refreshed: ours is old then (I3)."""
        bench.clock.advance(3600)
        with monkeypatch.context() as patch:
            patch.setattr("connector.token_source.sending.SENDING_TIME", 0.0)
            with pytest.raises(errors.TemporarilyUnavailable, match="right to send had ended"):
                await runtime.tokens.get(account.name)
        assert bench.refreshes == 0
        assert (await runtime.accounts.require(ACCOUNT)).attempt is None
        bench.clock.advance(1)
        assert (await runtime.tokens.get(account.name)).value

    def test_connecting_and_answering_fit_into_a_lease(self) -> None:
        assert CONNECT_TIMEOUT < SENDING_TIME
        assert SENDING_TIME + DEADLINE + WIRE_DRAIN < LEASE_DURATION

    async def test_the_time_of_day_ends_no_lease(self, bench: Workbench) -> None:
        """NTP sets the clock while a refresh is under way; leases go by the time since boot."""
        async with bench.runtime(now=time.time) as first, bench.runtime(now=time.time) as second:
            account = await bench.connect(first)
            await take_lease(first, account, first.owner)
            later = time.time() + 86_400
            second.now = second.tokens._now = lambda: later
            leased = await second.accounts.require(ACCOUNT)
            assert LEASE_DURATION - 5 < second.grants.lease_remaining(leased) <= LEASE_DURATION
            refresh_token = second.accounts.open_refresh_token(leased)
            assert refresh_token is not None
            with pytest.raises(AssertionError):
                await take_lease(second, leased, second.owner)


class TestClosing:
    async def test_lets_a_refresh_under_way_commit(
        self, bench: Workbench, account: Account
    ) -> None:
        bench.clock.advance(3600)
        bench.fault("hold", when="after")
        async with bench.runtime() as closing:
            asking = asyncio.create_task(closing.tokens.get(account.name))
            await bench.held()
            end = asyncio.create_task(closing.tokens.aclose())
            await asyncio.sleep(0)
            with pytest.raises(errors.TemporarilyUnavailable, match="shutting down"):
                await closing.tokens.refresh("acme/other")
            assert not end.done()
            bench.release()
            await end
            token = await asking
        async with bench.runtime() as runtime:
            assert (await runtime.tokens.get(account.name)) == token
        assert bench.refreshes == 1

    @pytest.fixture(autouse=True)
    async def _other(self, bench: Workbench, runtime: Runtime, account: Account) -> None:
        await bench.connect(runtime, f"{account.name.partition('/')[0]}/other", person="grace")

    async def test_a_stale_token_is_still_given(self, bench: Workbench) -> None:
        async with bench.runtime(has_background=True) as closing:
            await closing.tokens.get(ACCOUNT)
            await closing.tokens.aclose()
            bench.clock.advance(3600 - 100)
            assert (await closing.tokens.get(ACCOUNT)).value
        assert bench.refreshes == 0

    def test_the_drain_is_longer_than_a_request(self) -> None:
        from connector.oauth.wire import DEADLINE

        assert DEADLINE < DRAIN_TIME < LEASE_DURATION
