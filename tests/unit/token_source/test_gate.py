"""Providers that are left alone: for one account's sake by all, and by every process."""

import asyncio

import pytest

from connector import errors
from connector.account import Account
from connector.runtime import Runtime
from connector.store.halts import HaltStore
from connector.token_source.gate import BREAKER_FAILURES, SUSPECT_ACCOUNTS
from tests.unit.workbench import ACCOUNT, Workbench

REVOKED = '{"error":"invalid_grant"}'


async def many(bench: Workbench, runtime: Runtime, count: int) -> list[str]:
    """Connect accounts whose access tokens have run out."""
    names = [f"acme/{number}" for number in range(count)]
    for name in names:
        await bench.connect(runtime, name)
    bench.clock.advance(3600)
    return names


async def ask(runtime: Runtime, name: str) -> str:
    """Ask for a token; give what comes of it in a word."""
    try:
        await runtime.tokens.get(name)
    except errors.ConnectorError as error:
        return type(error).__name__
    return "token"


async def states(runtime: Runtime) -> set[str]:
    return {account.state_name for account in await runtime.accounts.all()}


class TestRetryAfter:
    async def test_holds_for_all_accounts_and_processes(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        one, two, *_ = await many(bench, runtime, 2)
        bench.fault("status", status=429, retry_after="3600")
        async with bench.runtime() as other:
            with pytest.raises(errors.TemporarilyUnavailable):
                await runtime.tokens.get(one)
            for each in (runtime, other):
                with pytest.raises(errors.TemporarilyUnavailable, match="HTTP 429") as caught:
                    await each.tokens.get(two)
                assert caught.value.retry_at is not None
                assert caught.value.retry_at.timestamp() == bench.clock.now() + 3600
            assert bench.refreshes == 1
            bench.clock.advance(3599)
            assert await ask(other, two) == "TemporarilyUnavailable"
            bench.clock.advance(2)
            assert [await ask(other, name) for name in (two, one)] == ["token", "token"]

    async def test_a_person_does_not_wait(self, bench: Workbench, runtime: Runtime) -> None:
        one, two, *_ = await many(bench, runtime, 2)
        bench.fault("status", status=503, retry_after="3600")
        await ask(runtime, one)
        await runtime.tokens.refresh(two, ignore_backoff=True)
        assert await ask(runtime, two) == "token"
        bench.clock.advance(3600)
        assert await ask(runtime, two) == "token"

    async def test_a_success_ends_it_for_every_process(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        one, two, three = await many(bench, runtime, 3)
        bench.fault("status", status=503, retry_after="3600")
        await ask(runtime, one)
        await runtime.tokens.refresh(two, ignore_backoff=True)
        async with bench.runtime() as other:
            assert await ask(other, three) == "token"

    async def test_what_a_person_has_shown_to_work_is_left_alone_by_nobody(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        """A process that has just begun, such as ``connector refresh``, has met no halt yet."""
        one, two, three = await many(bench, runtime, 3)
        bench.fault("status", status=503, retry_after="3600")
        assert [await ask(runtime, name) for name in (one, three)] == ["TemporarilyUnavailable"] * 2
        async with bench.runtime() as other:
            await other.tokens.refresh(two, ignore_backoff=True)
        assert await HaltStore(runtime.database).all() == {}
        bench.clock.advance(2)
        assert await ask(runtime, three) == "token"

    async def test_is_not_ended_by_a_request_that_was_under_way(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        one, two, three = await many(bench, runtime, 3)
        bench.fault("hold", person="ada")
        early = asyncio.create_task(runtime.tokens.get(one))
        await bench.held()
        bench.clock.advance(2)
        bench.fault("status", status=429, retry_after="3600")
        assert await ask(runtime, two) == "TemporarilyUnavailable"
        bench.release()
        assert (await early).value
        bench.clock.advance(2)
        assert await ask(runtime, three) == "TemporarilyUnavailable"
        assert bench.refreshes == 2

    async def test_a_token_that_works_is_given(self, bench: Workbench, runtime: Runtime) -> None:
        await many(bench, runtime, 1)
        await bench.connect(runtime, "acme/fresh")
        bench.fault("status", status=429, retry_after="86400")
        await ask(runtime, "acme/0")
        bench.clock.advance(3590)
        assert (await runtime.tokens.get("acme/fresh")).is_short


class TestRegistration:
    async def test_forty_accounts_and_one_request(self, bench: Workbench, runtime: Runtime) -> None:
        names = await many(bench, runtime, 40)
        secret = bench.simulator.client.client_secret
        bench.simulator.change({"client_secret": "another"})
        assert {await ask(runtime, name) for name in names} == {"RegistrationRejected"}
        assert bench.refreshes == 1
        assert await states(runtime) == {"active"}
        bench.clock.advance(61)
        assert {await ask(runtime, name) for name in names[1:]} == {"RegistrationRejected"}
        assert bench.refreshes == 2, "one at a time finds out whether it is mended"
        bench.simulator.change({"client_secret": secret})
        bench.clock.advance(61)
        assert {await ask(runtime, name) for name in names} == {"token"}


class TestBreaker:
    async def test_opens_after_failures_of_several_accounts(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        names = await many(bench, runtime, 12)
        bench.fault("status", times=None)
        assert {await ask(runtime, name) for name in names} == {"TemporarilyUnavailable"}
        assert bench.refreshes == BREAKER_FAILURES
        bench.clock.advance(6)
        assert {await ask(runtime, name) for name in names} == {"TemporarilyUnavailable"}
        assert bench.refreshes == BREAKER_FAILURES + 1, "one goes first"
        bench.simulator.faults.clear()
        bench.clock.advance(60)
        assert {await ask(runtime, name) for name in names} == {"token"}

    async def test_one_goes_first_and_the_others_wait_for_it(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        names = await many(bench, runtime, 12)
        bench.fault("status", times=BREAKER_FAILURES)
        for name in names:
            await ask(runtime, name)
        bench.clock.advance(6)
        bench.fault("hold")
        first = asyncio.create_task(ask(runtime, names[-1]))
        await bench.held()
        assert {await ask(runtime, name) for name in names[5:-1]} == {"TemporarilyUnavailable"}
        assert bench.refreshes == BREAKER_FAILURES + 1
        bench.release()
        assert await first == "token"
        assert {await ask(runtime, name) for name in names} == {"token"}

    async def test_a_refusal_that_is_explained_shows_that_the_endpoint_works(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        names = await many(bench, runtime, 2 * BREAKER_FAILURES - 1)
        for number, name in enumerate(names):
            if number == BREAKER_FAILURES - 1:
                bench.fault("falsify", status=400, body='{"error":"invalid_scope"}')
            else:
                bench.fault("status")
            await ask(runtime, name)
        assert bench.refreshes == len(names), "never so many failures in a row"

    async def test_what_cannot_be_written_down_is_no_reason_to_fail(
        self, bench: Workbench, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The token is durable; that the provider works again is only good to know."""
        one, two = await many(bench, runtime, 2)
        bench.fault("status", retry_after="60")
        await ask(runtime, one)
        bench.clock.advance(61)

        async def fail(_self: HaltStore, _provider: str) -> None:
            raise errors.TemporarilyUnavailable("the database is away")

        monkeypatch.setattr(HaltStore, "end", fail)
        assert [await ask(runtime, name) for name in (two, one)] == ["token", "token"]

    async def test_two_hours_away_cost_few_requests(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        names = await many(bench, runtime, 6)
        bench.fault("status", times=None)
        for _ in range(240):
            for name in names:
                await ask(runtime, name)
            bench.clock.advance(30)
        assert bench.refreshes < 60
        assert await states(runtime) == {"active"}

    async def test_one_account_that_fails_stops_no_other(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        await many(bench, runtime, 1)
        bench.fault("status", times=BREAKER_FAILURES * 2)
        for _ in range(BREAKER_FAILURES * 2):
            bench.clock.advance(300)
            await ask(runtime, account.name)
        assert bench.refreshes == BREAKER_FAILURES * 2
        assert await ask(runtime, "acme/0") == "token"


class TestSuspicion:
    async def test_many_refused_alike_are_not_ended(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        """Some servers answer invalid_grant to a wrong client secret."""
        names = await many(bench, runtime, 20)
        bench.fault("falsify", status=400, body=REVOKED, times=None)
        results = [await ask(runtime, name) for name in names]
        assert results == ["ConsentRequired"] * (SUSPECT_ACCOUNTS - 1) + [
            "RegistrationRejected"
        ] * (len(names) - SUSPECT_ACCOUNTS + 1)
        assert bench.refreshes == SUSPECT_ACCOUNTS
        assert await states(runtime) == {"active"}, "those that were ended first are back"
        bench.clock.advance(61)
        assert await ask(runtime, names[0]) == "RegistrationRejected"
        assert await states(runtime) == {"active"}
        bench.simulator.faults.clear()
        bench.clock.advance(3700)
        assert {await ask(runtime, name) for name in names} == {"token"}

    async def test_it_is_known_to_every_process(self, bench: Workbench, runtime: Runtime) -> None:
        names = await many(bench, runtime, SUSPECT_ACCOUNTS + 1)
        bench.fault("falsify", status=400, body=REVOKED, times=None)
        for name in names:
            await ask(runtime, name)
        async with bench.runtime() as other:
            assert await ask(other, names[0]) == "RegistrationRejected"
            bench.clock.advance(61)
            assert await ask(other, names[0]) == "RegistrationRejected"
            assert await states(other) == {"active"}

    async def test_a_success_between_them_clears_the_registration(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        names = await many(bench, runtime, SUSPECT_ACCOUNTS * 2)
        for number, name in enumerate(names):
            if number % 2:
                bench.fault("falsify", status=400, body=REVOKED)
            result = await ask(runtime, name)
            assert result == ("ConsentRequired" if number % 2 else "token")

    async def test_over_hours_each_is_taken_at_its_word(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        names = await many(bench, runtime, SUSPECT_ACCOUNTS * 2)
        bench.fault("falsify", status=400, body=REVOKED, times=None)
        for name in names:
            assert await ask(runtime, name) == "ConsentRequired"
            bench.clock.advance(61)

    async def test_after_a_day_the_provider_is_taken_at_its_word(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        names = await many(bench, runtime, SUSPECT_ACCOUNTS)
        bench.fault("falsify", status=400, body=REVOKED, times=None)
        for name in names:
            await ask(runtime, name)
        for _ in range(30):
            bench.clock.advance(3601)
            for name in names:
                await ask(runtime, name)
        assert await states(runtime) == {"consent_required"}

    async def test_bare_refusals_of_many_are_suspect_too(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        names = await many(bench, runtime, SUSPECT_ACCOUNTS * 2)
        bench.fault("status", status=400, times=None)
        results = [await ask(runtime, name) for name in names]
        assert results.count("RegistrationRejected") == len(names) - SUSPECT_ACCOUNTS
        assert bench.refreshes == SUSPECT_ACCOUNTS

    async def test_a_lost_rotation_is_no_sign_of_it(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        names = await many(bench, runtime, SUSPECT_ACCOUNTS + 3)
        for name in names:
            bench.fault("drop", when="after")
            assert await ask(runtime, name) == "ConsentRequired"
            account = await runtime.accounts.require(name)
            assert "rotation lost" in account.state.reason  # type: ignore[union-attr]


async def test_refusals_for_a_day_are_told_once(
    bench: Workbench, runtime: Runtime, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    bench.clock.advance(3600)
    bench.fault("status", status=403, times=None)
    for _ in range(60):
        await ask(runtime, account.name)
        bench.clock.advance(3600)
    told = [record for record in caplog.records if "refused for a day" in record.message]
    assert len(told) == 1
    assert f"connector connect acme --account {ACCOUNT}" in told[0].message
    assert (await runtime.accounts.require(ACCOUNT)).state_name == "active"
