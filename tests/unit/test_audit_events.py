"""What is done with accounts is in the audit trail: who did it, when, and how it came out."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from connector import errors
from connector.account import Account
from connector.runtime import Runtime
from connector.simulator.faults import Fault
from connector.store.audit_entry import Actor, Entry, acting_as
from connector.store.audit_trail import MOST_KEPT, AuditTrail
from tests.unit.audited import audited, detail, events
from tests.unit.workbench import ACCOUNT, NOW, Workbench, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime() as opened:
        yield opened


@pytest.fixture
async def account(bench: Workbench, runtime: Runtime) -> Account:
    return await bench.connect(runtime)


async def test_the_first_row_is_that_the_vault_was_made(runtime: Runtime) -> None:
    made, *_ = await audited(runtime)
    assert (made.number, made.event, made.at) == (1, "vault.made", NOW)
    assert (made.actor, made.through) == (f"uid:{os.getuid()}", "library")
    assert detail(made)["key"] == 1


class TestRevoking:
    async def test_here_and_there(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        await runtime.revoker.revoke(ACCOUNT)
        revoked, confirmed = [row for row in await audited(runtime) if row.account == ACCOUNT][-2:]
        assert (revoked.event, revoked.outcome) == ("account.revoked", "owed")
        assert (confirmed.event, confirmed.outcome) == ("revocation.confirmed", None)
        assert revoked.account_id == account.id
        assert detail(revoked)["debt"] == detail(confirmed)["debt"]
        assert detail(confirmed)["attempt"] == 1
        assert revoked.at == bench.clock.now()

    async def test_of_a_provider_that_is_away(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        fault = Fault(endpoint="revoke", kind="status", status=500)
        bench.simulator.faults.add(fault)
        await runtime.revoker.revoke(account.name)
        assert await events(runtime, "revocation") == []
        bench.clock.advance(60)
        await runtime.revoker.settle_due()
        (confirmed,) = await audited(runtime, "revocation")
        assert detail(confirmed)["attempt"] == 2
        assert confirmed.at == bench.clock.now()

    async def test_here_alone(self, runtime: Runtime, account: Account) -> None:
        await runtime.revoker.revoke(account.name, at_provider=False)
        (revoked,) = await audited(runtime, "account.revoked")
        assert revoked.outcome == "here_alone"
        assert detail(revoked)["kept_grant"] is True


async def test_renamed_and_forgotten(runtime: Runtime, account: Account) -> None:
    assert await runtime.accounts.rename(account, "acme/new")
    renamed = await runtime.accounts.require("acme/new")
    await runtime.accounts.forget(renamed)
    first, second = await audited(runtime, "account")
    assert (first.event, first.account, detail(first)) == (
        "account.renamed",
        ACCOUNT,
        {"name": "acme/new"},
    )
    assert (second.event, second.account) == ("account.forgotten", "acme/new")
    assert first.account_id == second.account_id == account.id


async def test_a_name_that_is_taken_changes_nothing(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    await bench.connect(runtime, "acme/other")
    assert not await runtime.accounts.rename(account, "acme/other")
    assert await events(runtime, "account") == []


async def test_a_value_that_does_not_open_is_told_once_for_each_account(
    bench: Workbench, runtime: Runtime, account: Account
) -> None:
    """CHECKLIST 116."""
    await bench.connect(runtime, "acme/other")
    async with runtime.database.write() as connection:
        await connection.exec_driver_sql(
            "UPDATE account SET access_token_sealed = refresh_token_sealed"
        )
    for _ in range(3):
        for name in (ACCOUNT, "acme/other"):
            with pytest.raises(errors.VaultSealed):
                await runtime.tokens.get(name)
    one, other = await audited(runtime, "value")
    assert (one.event, one.account, one.account_id) == ("value.unreadable", ACCOUNT, account.id)
    assert detail(one) == {"generation": 1, "place": "access_token"}
    assert other.account == "acme/other"


class TestTrail:
    async def test_it_says_for_whom_was_worked(self, runtime: Runtime) -> None:
        with acting_as(Actor(kind="uid", name="7", through="api")):
            runtime.trail.note(Entry(event="vault.key_made"))
        runtime.trail.note(Entry(event="vault.key_made"))
        theirs, ours = await audited(runtime, "vault.key")
        assert (theirs.actor, theirs.through) == ("uid:7", "api")
        assert (ours.actor, ours.through) == (f"uid:{os.getuid()}", "library")

    async def test_what_cannot_be_written_is_kept_and_told_of_once(
        self,
        bench: Workbench,
        runtime: Runtime,
        account: Account,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """A grant is revoked, and a token is given, all the same."""

        async def fail(*_: object, **__: object) -> None:
            raise errors.TemporarilyUnavailable("the disk is full")

        before = len(await audited(runtime))
        monkeypatch.setattr(runtime.audit, "append", fail)
        assert (await runtime.tokens.get(account.name)).value
        await runtime.revoker.revoke(ACCOUNT)
        revoked_at = bench.clock.now()
        for _ in range(3):
            await runtime.trail.flush()
        told = [one for one in caplog.messages if "the audit trail cannot be written" in one]
        assert (
            told == ["the audit trail cannot be written: the disk is full. Retry in a moment."]
            or len(told) == 1
        )
        monkeypatch.undo()
        bench.clock.advance(60)
        rows = (await audited(runtime))[before:]
        assert [row.event for row in rows] == ["account.revoked", "revocation.confirmed"]
        assert rows[0].at == revoked_at, "when it happened"

    @pytest.mark.parametrize("error", [IntegrityError("canary", {}, Exception()), KeyError("x")])
    async def test_whatever_is_wrong_with_it_fails_nobody(
        self,
        runtime: Runtime,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        error: Exception,
    ) -> None:
        async def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(runtime.audit, "append", fail)
        runtime.trail.note(Entry(event="vault.key_made"))
        await runtime.trail.flush()
        (told,) = caplog.messages
        assert told == f"the audit trail cannot be written: {type(error).__name__}"
        monkeypatch.undo()
        assert len(await events(runtime, "vault.key")) == 1

    async def test_many_at_once_keep_their_order(self, runtime: Runtime) -> None:
        for number in range(450):
            runtime.trail.note(Entry(event="vault.key_made", count=number))
        assert [row.times for row in await audited(runtime, "vault.key")] == list(range(450))

    async def test_when_too_many_are_kept_the_oldest_are_dropped_and_that_is_told(
        self, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(*_: object, **__: object) -> None:
            raise errors.TemporarilyUnavailable("away")

        with monkeypatch.context() as patched:
            patched.setattr(runtime.audit, "append", fail)
            patched.setattr("connector.store.audit_trail.MOST_KEPT", 3)
            assert MOST_KEPT == 10_000
            for number in range(5):
                runtime.trail.note(Entry(event="vault.key_made", count=number))
            await runtime.trail.flush()
        assert "2 entries of the audit trail are lost" in caplog.messages
        assert [row.times for row in await audited(runtime, "vault.key")] == [2, 3, 4]

    async def test_what_is_left_at_the_end_is_told(
        self, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(*_: object, **__: object) -> None:
            raise errors.TemporarilyUnavailable("away")

        trail = AuditTrail(runtime.audit, now=runtime.now)
        monkeypatch.setattr(runtime.audit, "append", fail)
        trail.note(Entry(event="vault.key_made"))
        await trail.aclose()
        assert "1 entries of the audit trail could not be written" in caplog.messages

    async def test_old_rows_are_removed_and_that_is_a_row(
        self, bench: Workbench, runtime: Runtime, account: Account
    ) -> None:
        await runtime.revoker.revoke(account.name)
        await runtime.trail.flush()
        bench.clock.advance(86_400)
        runtime.trail.note(Entry(event="vault.key_made"))
        await runtime.trail.flush()
        await runtime.trail.prune(0)
        await runtime.trail.prune(86_401)
        before = await audited(runtime)
        assert before[0].number == 1, "nothing is old enough, or all is kept"
        await runtime.trail.prune(3600)
        made, pruned = await audited(runtime)
        assert (made.event, pruned.event) == ("vault.key_made", "audit.pruned")
        assert pruned.times == len(before) - 1

    async def test_a_trail_that_does_not_fit_is_left_as_it_is(
        self, bench: Workbench, runtime: Runtime, caplog: pytest.LogCaptureFixture
    ) -> None:
        for _ in range(2):
            runtime.trail.note(Entry(event="vault.key_made"))
        await runtime.trail.flush()
        async with runtime.database.write() as connection:
            await connection.exec_driver_sql("UPDATE audit SET actor = 'uid:7' WHERE number = 1")
        bench.clock.advance(86_400)
        await runtime.trail.prune(3600)
        assert "row 1 was altered" in caplog.text
        assert await runtime.audit.count() == 3
