"""What becomes of the account that a consent is for: made, taken back, or refused."""

import pytest

from connector import errors
from connector.consent import UnknownConsent
from connector.runtime import Runtime
from connector.simulator.person import Person
from connector.store.database import Database
from tests.unit.workbench import ACCOUNT, Workbench, in_thread


async def denied(bench: Workbench, runtime: Runtime, person: Person) -> None:
    """Take a person through a consent, who says no."""
    started = await runtime.consents.begin("acme", ACCOUNT)
    redirect = await in_thread(person.consent, await runtime.consents.url(started.id), "deny")
    with pytest.raises(errors.ConsentNotGiven, match="access_denied"):
        await bench.complete(runtime, redirect)


async def names(runtime: Runtime) -> list[tuple[str, str]]:
    return [(account.name, account.state_name) for account in await runtime.accounts.all()]


class TestTakenBack:
    async def test_denied(self, bench: Workbench, runtime: Runtime, ada: Person) -> None:
        await denied(bench, runtime, ada)
        assert await names(runtime) == []

    async def test_denied_where_another_process_takes_the_answer(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        started = await runtime.consents.begin("acme", ACCOUNT)
        redirect = await in_thread(ada.consent, await runtime.consents.url(started.id), "deny")
        async with bench.runtime() as daemon:
            with pytest.raises(errors.ConsentNotGiven):
                await bench.complete(daemon, redirect)
        assert await names(runtime) == []

    async def test_one_that_was_pending_before_stays(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        await runtime.consents.begin("acme", ACCOUNT)
        await denied(bench, runtime, ada)
        assert await names(runtime) == [(ACCOUNT, "pending")]

    async def test_one_that_another_consent_has_made_active_stays(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        first = await runtime.consents.begin("acme", ACCOUNT)
        redirect = await in_thread(ada.consent, await runtime.consents.url(first.id), "deny")
        await bench.consent(runtime, ada)
        with pytest.raises(errors.ConsentNotGiven):
            await bench.complete(runtime, redirect)
        assert await names(runtime) == [(ACCOUNT, "active")]
        assert (await runtime.tokens.get(ACCOUNT)).value

    async def test_another_consent_for_it_makes_it_anew(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        first = await runtime.consents.begin("acme", ACCOUNT)
        redirect = await bench.begin(runtime, ada)
        assert await runtime.consents.abandon(first)
        assert await names(runtime) == []
        assert (await bench.complete(runtime, redirect)).account.state_name == "active"

    async def test_the_exchange_fails(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        bench.fault("drop", when="after")
        with pytest.raises(errors.TemporarilyUnavailable):
            await bench.consent(runtime, ada)
        assert await names(runtime) == []


class TestAbandoned:
    async def test_no_answer_is_taken_any_more(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        started = await runtime.consents.begin("acme", ACCOUNT)
        redirect = await in_thread(ada.consent, await runtime.consents.url(started.id))
        assert await runtime.consents.abandon(started)
        assert await names(runtime) == []
        with pytest.raises(UnknownConsent):
            await bench.complete(runtime, redirect)
        assert bench.simulator.ledger.count("token") == 0

    async def test_an_answer_was_first(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        started = await runtime.consents.begin("acme", ACCOUNT)
        redirect = await in_thread(ada.consent, await runtime.consents.url(started.id))
        await bench.complete(runtime, redirect)
        assert not await runtime.consents.abandon(started)
        assert await names(runtime) == [(ACCOUNT, "active")]

    async def test_the_store_is_away(
        self, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started = await runtime.consents.begin("acme", ACCOUNT)
        made = await runtime.consents.new_accounts.begin("acme/other", "acme")

        def fail(_self: object) -> None:
            raise errors.TemporarilyUnavailable("the disk is full")

        monkeypatch.setattr(Database, "write", fail)
        assert not await runtime.consents.abandon(started)
        await runtime.consents.new_accounts.take_back(made)
        assert await names(runtime) == [(ACCOUNT, "pending"), ("acme/other", "pending")]


class TestAnotherProvider:
    """People are told apart within one provider: at another one anybody could take the account."""

    async def test_refused_before_anybody_is_asked(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        before = await bench.connect(runtime)
        with pytest.raises(errors.ConsentNotGiven, match="grant of provider acme") as caught:
            await runtime.consents.begin("facebook", ACCOUNT)
        assert f"type first: connector forget {ACCOUNT}" in str(caught.value)
        assert await runtime.accounts.require(ACCOUNT) == before

    async def test_refused_where_the_grant_came_meanwhile(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        redirect = await bench.begin(runtime, ada, provider="facebook")
        before = await bench.connect(runtime)
        with pytest.raises(errors.ConsentNotGiven, match="grant of provider acme"):
            await bench.complete(runtime, redirect)
        assert await runtime.accounts.require(ACCOUNT) == before

    async def test_refused_though_the_grant_has_ended(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        account = await bench.connect(runtime)
        await runtime.grants.require_consent(account, "the person has taken it back", now=1.0)
        with pytest.raises(errors.ConsentNotGiven, match="grant of provider acme"):
            await runtime.consents.begin("facebook", ACCOUNT)

    async def test_taken_where_nothing_is_lost(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        await runtime.consents.begin("acme", ACCOUNT)
        completed = await bench.consent(runtime, ada, provider="facebook")
        assert completed.account.provider == "facebook"
