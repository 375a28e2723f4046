"""Revoking: here at once, at the provider as soon as it answers."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connector import errors
from connector.account import Account
from connector.revoke import LONGEST_PAUSE, Revoker
from connector.runtime import Runtime
from connector.simulator.faults import Fault
from connector.store.database import Database
from connector.store.revocations import RevocationDebt, RevocationStore
from tests.unit.workbench import ACCOUNT, FACEBOOK, Workbench, someone, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime() as opened:
        await bench.connect(opened)
        yield opened


def revoker_of(runtime: Runtime) -> Revoker:
    return Revoker(
        accounts=runtime.accounts,
        debts=runtime.revocations,
        directory=runtime.directory,
        note=runtime.trail.note,
        now=runtime.now,
    )


@pytest.fixture
def revoker(runtime: Runtime) -> Revoker:
    return revoker_of(runtime)


def is_alive(bench: Workbench, token: str) -> bool:
    found = bench.simulator.state.grants.find_access_token(token)
    return found is not None and found.is_valid(bench.clock.now())


async def test_ends_here_and_there(bench: Workbench, runtime: Runtime, revoker: Revoker) -> None:
    token = await runtime.tokens.get(ACCOUNT)
    assert is_alive(bench, token.value)
    outcome = await revoker.revoke(ACCOUNT)
    assert (outcome.is_confirmed, outcome.is_offered, outcome.retry_at) == (True, True, None)
    assert not is_alive(bench, token.value)
    account = await runtime.accounts.require(ACCOUNT)
    assert (account.state_name, account.grant) == ("consent_required", None)
    with pytest.raises(errors.ConsentRequired, match="revoked by its owner here"):
        await runtime.tokens.get(ACCOUNT)
    assert await runtime.revocations.all() == []
    assert bench.refreshes == 0


async def test_twice_is_as_good_as_once(runtime: Runtime, revoker: Revoker) -> None:
    await revoker.revoke(ACCOUNT)
    outcome = await revoker.revoke(ACCOUNT)
    assert outcome.is_confirmed
    assert (await runtime.accounts.require(ACCOUNT)).state_name == "consent_required"


class TestProviderAway:
    async def test_is_tried_again_until_it_confirms(
        self, bench: Workbench, runtime: Runtime, revoker: Revoker
    ) -> None:
        token = await runtime.tokens.get(ACCOUNT)
        fault = Fault(endpoint="revoke", kind="status", status=500, times=None)
        number = bench.simulator.faults.add(fault)
        outcome = await revoker.revoke(ACCOUNT)
        assert not outcome.is_confirmed
        assert "500" in outcome.cause
        assert outcome.retry_at is not None
        assert outcome.retry_at.timestamp() == bench.clock.now() + 60
        with pytest.raises(errors.ConsentRequired):
            await runtime.tokens.get(ACCOUNT)
        await revoker.settle_due()
        assert bench.simulator.ledger.count("revoke") == 1, "it is not due yet"
        bench.clock.advance(60)
        await revoker.settle_due()
        assert bench.simulator.ledger.count("revoke") == 2
        (debt,) = await runtime.revocations.all()
        assert (debt.account, debt.attempts) == (ACCOUNT, 2)
        assert is_alive(bench, token.value)
        bench.simulator.faults.clear(number)
        bench.clock.advance(120)
        async with bench.runtime() as daemon:
            await revoker_of(daemon).settle_due()
        assert not is_alive(bench, token.value)
        assert await runtime.revocations.all() == []

    async def test_pauses_grow_to_six_hours(
        self, bench: Workbench, runtime: Runtime, revoker: Revoker
    ) -> None:
        bench.simulator.faults.add(Fault(endpoint="revoke", kind="drop", times=None))
        outcome = await revoker.revoke(ACCOUNT)
        pauses = []
        for _ in range(12):
            assert outcome.retry_at is not None
            pauses.append(outcome.retry_at.timestamp() - bench.clock.now())
            bench.clock.advance(pauses[-1])
            (debt,) = await runtime.revocations.due(bench.clock.now())
            outcome = await revoker.settle(debt)
        assert pauses[:4] == [60, 120, 240, 480]
        assert pauses[-1] == LONGEST_PAUSE

    async def test_after_a_thousand_attempts_it_is_still_postponed(
        self, bench: Workbench, runtime: Runtime, revoker: Revoker
    ) -> None:
        bench.simulator.faults.add(Fault(endpoint="revoke", kind="drop", times=None))
        outcome = await revoker.revoke(ACCOUNT)
        bench.clock.advance(LONGEST_PAUSE)
        (debt,) = await runtime.revocations.due(bench.clock.now())
        outcome = await revoker.settle(replace(debt, attempts=1024))
        assert outcome.retry_at is not None
        assert outcome.retry_at.timestamp() == bench.clock.now() + LONGEST_PAUSE
        assert await runtime.revocations.due(bench.clock.now()) == []

    async def test_waits_as_long_as_the_provider_asks(
        self, bench: Workbench, revoker: Revoker
    ) -> None:
        fault = Fault(endpoint="revoke", kind="status", retry_after="7200")
        bench.simulator.faults.add(fault)
        outcome = await revoker.revoke(ACCOUNT)
        assert outcome.retry_at is not None
        assert outcome.retry_at.timestamp() == bench.clock.now() + 7200

    async def test_nothing_listens(self, bench: Workbench, revoker: Revoker) -> None:
        bench.simulator.stop()
        outcome = await revoker.revoke(ACCOUNT)
        assert not outcome.is_confirmed
        assert outcome.cause
        bench.simulator.start()

    async def test_its_configuration_is_gone(self, bench: Workbench, runtime: Runtime) -> None:
        bench.configure(replace=("[providers.acme]", "[providers.other]"))
        async with bench.runtime() as edited:
            outcome = await revoker_of(edited).revoke(ACCOUNT)
        assert not outcome.is_confirmed
        assert "no provider 'acme'" in outcome.cause
        assert (await runtime.accounts.require(ACCOUNT)).grant is None, "the tokens are gone"
        bench.clock.advance(60)
        await revoker_of(runtime).settle_due()
        assert await runtime.revocations.all() == []


async def test_tokens_are_not_sent_to_another_server_than_their_own(
    bench: Workbench, runtime: Runtime
) -> None:
    """What is owed was issued to a registration that is not the configured one (CHECKLIST 32)."""
    bench.configure(replace=('client_id = "', 'client_id = "another-'))
    before = bench.simulator.ledger.count("revoke")
    async with bench.runtime() as edited:
        outcome = await revoker_of(edited).revoke(ACCOUNT)
    assert not outcome.is_confirmed
    assert "registration of acme has changed" in outcome.cause
    assert bench.simulator.ledger.count("revoke") == before, "nothing was sent"
    bench.clock.advance(60)
    await revoker_of(runtime).settle_due()
    assert await runtime.revocations.all() == [], "its own registration is sent them"


async def test_the_provider_offers_no_revocation(bench: Workbench, tmp_path: Path) -> None:
    assert tmp_path == bench.folder
    bench.simulator.change({"metadata_overrides": {"revocation_endpoint": None}})
    async with bench.runtime() as runtime:
        await bench.connect(runtime)
        outcome = await revoker_of(runtime).revoke(ACCOUNT)
        assert (outcome.is_confirmed, outcome.is_offered) == (True, False)
        assert (await runtime.accounts.require(ACCOUNT)).grant is None
        assert await runtime.revocations.all() == []


async def test_here_only(bench: Workbench, runtime: Runtime, revoker: Revoker) -> None:
    token = await runtime.tokens.get(ACCOUNT)
    outcome = await revoker.revoke(ACCOUNT, at_provider=False)
    assert outcome.is_confirmed
    assert is_alive(bench, token.value)
    assert bench.simulator.ledger.count("revoke") == 0


async def test_no_such_account(revoker: Revoker) -> None:
    with pytest.raises(errors.UnknownAccount):
        await revoker.revoke("acme/other")


async def test_nobody_has_consented(runtime: Runtime, revoker: Revoker) -> None:
    await runtime.consents.begin("acme", "acme/new")
    outcome = await revoker.revoke("acme/new")
    assert outcome.is_confirmed


async def test_the_store_is_away(
    runtime: Runtime, revoker: Revoker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: object) -> None:
        raise errors.TemporarilyUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "write", fail)
        with pytest.raises(errors.TemporarilyUnavailable):
            await revoker.revoke(ACCOUNT)
    assert (await runtime.tokens.get(ACCOUNT)).value, "nothing was done"


class TestRefreshedMeanwhile:
    async def test_the_newest_tokens_are_revoked(
        self,
        bench: Workbench,
        runtime: Runtime,
        revoker: Revoker,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        destroy = RevocationStore.destroy
        tokens: list[str] = []

        async def late(
            store: RevocationStore, account: Account, reason: str, *, now: float, is_owed: bool
        ) -> RevocationDebt | None:
            if len(tokens) < 3:
                tokens.append((await runtime.tokens.refresh(ACCOUNT)).value)
            return await destroy(store, account, reason, now=now, is_owed=is_owed)

        monkeypatch.setattr(RevocationStore, "destroy", late)
        assert (await revoker.revoke(ACCOUNT)).is_confirmed
        assert len(tokens) == 3
        assert not any(is_alive(bench, token) for token in tokens)
        assert (await runtime.accounts.require(ACCOUNT)).grant is None

    async def test_all_the_time(
        self, runtime: Runtime, revoker: Revoker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was not done is not reported as done."""

        async def never(*_: object, **__: object) -> None:
            return None

        monkeypatch.setattr(RevocationStore, "destroy", never)
        with pytest.raises(errors.TemporarilyUnavailable, match="nothing was revoked"):
            await revoker.revoke(ACCOUNT)
        assert (await runtime.accounts.require(ACCOUNT)).state_name == "active"


class TestFacebook:
    async def test_the_app_is_taken_out_of_the_persons_account(
        self, bench: Workbench, runtime: Runtime, revoker: Revoker
    ) -> None:
        bench.simulator.change({"require_appsecret_proof": True})
        with someone() as ada:
            await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
        outcome = await revoker.revoke(FACEBOOK)
        assert outcome.is_confirmed
        assert bench.simulator.ledger.count("graph_withdraw", outcome="withdrawn") == 1

    async def test_a_token_that_is_dead_already(
        self, bench: Workbench, runtime: Runtime, revoker: Revoker
    ) -> None:
        with someone() as ada:
            await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
        bench.simulator.facebook.log_out("ada")
        assert (await revoker.revoke(FACEBOOK)).is_confirmed
        assert await runtime.revocations.all() == []
