"""An export of one database imported into another, of either kind: all of it is there."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text, update
from sqlalchemy.engine import URL

from connector.account import HELD, Account, Active, ConsentRequired, Trouble
from connector.accounts_view import account_view
from connector.errors import TemporarilyUnavailable
from connector.secret import Secret
from connector.store.database import Database
from connector.store.export_check import Checked, check_export
from connector.store.export_format import ExportError, ExportReader
from connector.store.export_rows import INTERRUPTED
from connector.store.generation_marks import GenerationMarks
from connector.store.halts import Halt, HaltStore
from connector.store.metadata_pins import StoredPins
from connector.store.pending_write import PendingWrite
from connector.store.runs import Ending
from connector.store.seal_counts import SealCounts
from connector.store.tables import ACCOUNT, RevocationRow
from connector.store.vault_export import Exported, VaultExport, Waiting
from connector.store.vault_import import Imported, VaultImport
from connector.testing import (
    SOME_TIME,
    FixedClock,
    Stores,
    connected,
    make_stores,
    some_attempt,
    some_tokens,
)
from tests.postgres import PostgresServer
from tests.unit.workbench import run_apart

from .conftest import Template, sqlite_url


@pytest.fixture(params=["sqlite", "postgres"])
def there(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[Stores]:
    """Another vault, of either kind, with keys of its own."""
    template: Template = request.getfixturevalue(f"{request.param}_template")
    with ExitStack() as stack:
        if request.param == "sqlite":
            path = tmp_path / "there.db"
            shutil.copy(template.url.database or "", path)
            path.chmod(0o600)
            url = sqlite_url(path)
        else:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            url = stack.enter_context(server.database(template=template.url))
        database = Database(url, now=clock, busy_timeout=5)
        if not database.is_sqlite:
            database.lease_time = time.time  # Postgres has a clock of its own
        yield make_stores(database, template.vault)
        asyncio.run(database.aclose())


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[GenerationMarks]:
    marks = GenerationMarks(tmp_path / "journals")
    yield marks
    marks.close()


async def export(stores: Stores, waiting: Waiting | None = None, *, batch: int = 2) -> bytes:
    return (await exported(stores, waiting, batch=batch))[0]


async def exported(
    stores: Stores, waiting: Waiting | None = None, *, batch: int = 2
) -> tuple[bytes, Exported]:
    lines = bytearray()
    exporting = VaultExport(stores.database, stores.vault, lambda: waiting or {}, batch=batch)
    told = await exporting.write(lines.extend, version="1.2.3", now=SOME_TIME)
    return bytes(lines), told


def importer(stores: Stores, marks: GenerationMarks, *, rotates: bool = True) -> VaultImport:
    return VaultImport(stores.database, stores.vault, marks, lambda _: rotates)


async def take_in(
    stores: Stores,
    lines: bytes,
    marks: GenerationMarks,
    *,
    is_replacing: bool = False,
    rotates: bool = True,
) -> Imported:
    checked = check_export(ExportReader([lines]))
    assert checked.problems == []
    importing = importer(stores, marks, rotates=rotates)
    return await importing.write(
        ExportReader([lines]),
        checked,
        await importing.present(checked),
        is_replacing=is_replacing,
        now=SOME_TIME,
    )


async def everything(stores: Stores) -> dict[str, object]:
    """Give all that a user sees of a vault, and the tokens."""
    accounts = await stores.accounts.all()
    return {
        "accounts": [
            {
                **account_view(account),
                "id": account.id,
                "created_at": account.created_at,
                "terms": account.grant.terms if account.grant else None,
                "fingerprint": account.grant.fingerprint if account.grant else None,
                "subject": account.grant.subject if account.grant else None,
                "name": account.grant.subject_name if account.grant else None,
                "tokens": tokens(stores, account),
                "late": await stores.late_tokens.find(account),
                "sent": account.attempt
                and (account.attempt.sent_at, account.attempt.first_sent_at, account.attempt.count),
                "trouble": account.trouble,
            }
            for account in accounts
        ],
        "due": await rows(stores, "SELECT id, due_at FROM account ORDER BY id"),
        "debts": [
            (debt.id, debt.account, debt.provider, debt.subject, debt.tokens, debt.attempts)
            for debt in await stores.revocations.all()
        ],
        "paused": await stores.runs.paused(),
        "runs": await stores.runs.history(None, limit=100),
        "pin": await StoredPins(stores.database, now=lambda: 0).load(
            "acme", "https://acme.example"
        ),
        "halts": await HaltStore(stores.database).all(),
    }


def tokens(stores: Stores, account: Account) -> object:
    if account.grant is None:
        return None
    return (
        stores.accounts.open_access_token(account),
        stores.accounts.open_refresh_token(account),
        stores.accounts.open_extra(account),
    )


async def rows(stores: Stores, query: str) -> list[tuple[object, ...]]:
    async with stores.database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(query))]


async def furnish(stores: Stores) -> None:
    """Make one of everything."""
    await connected(stores, "acme/plain")
    extra = {"instance_url": "https://eu", "nested": {"a": [1, 2.5, None, "\ud800"]}}
    odd = await connected(stores, "acme/odd")
    await stores.grants.renew(odd, replace(some_tokens("ö\ud800\0"), extra=extra, due_at=SOME_TIME))
    lost = await connected(stores, "acme/lost")
    fingerprint = stores.accounts.fingerprint(Secret("refresh-1"))
    attempt = replace(some_attempt(), token_fingerprint=fingerprint, count=3)
    leased = await stores.grants.take_lease(lost, "gone", attempt)
    assert leased is not None
    trouble = Trouble(message="no answer\0", since=1.5, failures=3, retry_at=SOME_TIME + 60)
    await stores.grants.settle(leased, trouble, unanswered=leased.attempt)
    late = await connected(stores, "acme/late")
    assert await stores.grants.renew(late, some_tokens("winner"))
    assert await stores.late_tokens.keep(stores.grants.renewal(late, some_tokens("late")))
    ended = await connected(stores, "acme/ended")
    await stores.grants.require_consent(ended, "revoked at the provider", now=SOME_TIME)
    revoked = await connected(stores, "acme/revoked")
    await stores.revocations.destroy(revoked, "revoked here", now=SOME_TIME, is_owed=True)
    await stores.accounts.begin("acme/pending", "acme", now=SOME_TIME)
    for due_at in (60.0, 120.0):
        run = await stores.runs.claim("pull", "acme/plain", due_at, owner="me", now=SOME_TIME)
        assert run is not None
        ending = Ending(outcome="succeeded", records=7, batches=2, cursor={"since": due_at})
        await stores.runs.finish(run, ending, now=SOME_TIME + 1)
    await stores.runs.pause("pull", now=SOME_TIME)
    pins = StoredPins(stores.database, now=lambda: SOME_TIME)
    await pins.save("acme", "https://acme.example", {"issuer": "https://acme.example"})
    await HaltStore(stores.database).begin(
        Halt(provider="acme", until=SOME_TIME + 9, since=SOME_TIME, message="slow down")
    )


async def test_everything_arrives(stores: Stores, there: Stores, marks: GenerationMarks) -> None:
    await furnish(stores)
    before = await everything(stores)
    imported = await take_in(there, await export(stores), marks)
    assert await everything(there) == before
    assert dict(imported.counts) == {
        "account": 7,
        "revocation": 1,
        "paused_job": 1,
        "run": 2,
        "metadata": 1,
        "halt": 1,
    }
    assert imported.held == imported.skipped == []
    for account in await there.accounts.all():
        old = await stores.accounts.require(account.name)
        assert account.generation == old.generation + 1, "above what any mark may be"
        assert account.lease is None


async def test_there_and_back_is_the_same(
    stores: Stores, there: Stores, marks: GenerationMarks
) -> None:
    await furnish(stores)
    before = await everything(stores)
    await take_in(there, await export(stores), marks)
    imported = await take_in(stores, await export(there), marks, is_replacing=True)
    assert imported.held == [], "the tokens are the same"
    assert await everything(stores) == before


async def test_a_lost_answer_is_known_there_by_its_own_digest(
    stores: Stores, there: Stores, marks: GenerationMarks
) -> None:
    await furnish(stores)
    await take_in(there, await export(stores), marks)
    attempt = (await there.accounts.require("acme/lost")).attempt
    assert attempt is not None
    assert attempt.token_fingerprint == there.accounts.fingerprint(Secret("refresh-1"))
    assert attempt.count == 3


async def test_what_was_imported_can_be_renewed(
    stores: Stores, there: Stores, marks: GenerationMarks
) -> None:
    await furnish(stores)
    await take_in(there, await export(stores), marks)
    account = await there.accounts.require("acme/lost")
    leased = await there.grants.take_lease(account, "me", some_attempt())
    assert leased is not None
    renewed = await there.grants.renew(leased, some_tokens("new"))
    assert renewed is not None
    assert there.accounts.open_refresh_token(renewed) == Secret("refresh-new")


class TestSnapshot:
    async def test_others_write_meanwhile(
        self, stores: Stores, there: Stores, marks: GenerationMarks, url: URL
    ) -> None:
        """Every batch is of the moment of the first one, whatever is committed between them."""
        for number in range(6):
            await connected(stores, f"acme/{number}")
        before = await everything(stores)
        pieces: list[bytes] = []

        async def change() -> None:
            database = Database(url, now=FixedClock(), busy_timeout=5)
            others = make_stores(database, stores.vault)
            for account in await others.accounts.all():
                assert await others.grants.renew(account, some_tokens("newer"))
            await others.accounts.forget(await others.accounts.require("acme/5"))
            await connected(others, "acme/9")
            await database.aclose()

        def write(data: bytes) -> None:
            if len(pieces) == 1:  # the first account was read
                run_apart(change)
            pieces.append(data)

        exporting = VaultExport(stores.database, stores.vault, dict, batch=1)
        await exporting.write(write, version="1", now=SOME_TIME)
        await take_in(there, b"".join(pieces), marks)
        assert await everything(there) == before
        assert len(await stores.accounts.all()) == 6
        assert await stores.accounts.get("acme/9")


class TestJournal:
    async def test_an_answer_that_waits_is_newer_than_its_row(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        account = await connected(stores, "acme/one")
        await stores.grants.take_lease(account, "gone", some_attempt())
        lines, told = await exported(stores, waiting(stores, account, "kept"))
        assert told.from_journal == ["acme/one"]
        assert told.under_way == []
        await take_in(there, lines, marks)
        arrived = await there.accounts.require("acme/one")
        assert there.accounts.open_refresh_token(arrived) == Secret("refresh-kept")
        assert arrived.attempt is None
        assert arrived.generation == account.generation + 2
        assert await stores.accounts.require("acme/one") != account, "nothing was written here"
        assert (await stores.accounts.require("acme/one")).generation == account.generation

    async def test_one_for_an_older_row_is_passed_over(self, stores: Stores) -> None:
        account = await connected(stores, "acme/one")
        kept = waiting(stores, account, "kept")
        await stores.grants.renew(account, some_tokens("newer"))
        lines, told = await exported(stores, kept)
        assert told.from_journal == []
        assert b"refresh-newer" in lines

    async def test_one_that_brings_an_ended_grant_back(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        """As a late winner does."""
        account = await connected(stores, "acme/one")
        await stores.grants.require_consent(account, "refused", now=SOME_TIME)
        await take_in(there, await export(stores, waiting(stores, account, "kept")), marks)
        arrived = await there.accounts.require("acme/one")
        assert isinstance(arrived.state, Active)

    @pytest.mark.parametrize("payload", [b"{}", b"\xff", None])
    async def test_one_that_does_not_open_is_told_and_the_row_exported(
        self, payload: bytes | None, stores: Stores
    ) -> None:
        account = await connected(stores, "acme/one")
        fingerprint = stores.accounts.fingerprint(Secret("refresh-1"))
        attempt = replace(some_attempt(), token_fingerprint=fingerprint)
        await stores.grants.take_lease(account, "gone", attempt)
        other = await connected(stores, "acme/two")
        of_another = waiting(stores, other, "kept").popitem()[1]
        key = (account.id, account.generation)
        lines, told = await exported(stores, {key: payload or of_another})
        assert [name for name, _ in told.failures] == ["acme/one"]
        assert b'"sent":"refresh_token"' in lines, "its outcome stays unknown"
        assert b"refresh-1" in lines

    async def test_who_is_being_refreshed_is_told(self, stores: Stores) -> None:
        account = await connected(stores, "acme/one")
        await stores.grants.take_lease(account, "me", some_attempt())
        assert (await exported(stores))[1].under_way == ["acme/one"]


def waiting(stores: Stores, account: Account, text: str) -> dict[tuple[str, int], bytes]:
    write: PendingWrite = stores.grants.renewal(account, some_tokens(text))
    return {(account.id, account.generation): write.dump()}


class TestDamaged:
    async def test_what_does_not_open_costs_no_other(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        await furnish(stores)
        async with stores.database.write() as connection:
            for name, column in (("plain", "access_token"), ("ended", "refresh_token")):
                await connection.execute(
                    update(ACCOUNT)
                    .where(ACCOUNT.c.name == f"acme/{name}")
                    .values({f"{column}_sealed": b"\1" * 60})
                )
            await connection.execute(update(RevocationRow).values(tokens_sealed=b"\1" * 60))
        lines, told = await exported(stores)
        assert sorted(name for name, _ in told.failures) == [
            "acme/ended",
            "acme/plain",
            "acme/revoked",
        ]
        imported = await take_in(there, lines, marks)
        assert imported.counts["account"] == 7
        plain = await there.accounts.require("acme/plain")
        assert isinstance(plain.state, ConsentRequired)
        assert "did not open" in plain.state.reason


class TestPresent:
    """Accounts that are here already."""

    async def test_all_that_share_a_name_or_an_identifier_are_found(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        one, two, _ = [await connected(stores, f"acme/{name}") for name in ("a", "b", "c")]
        lines = await export(stores)
        await take_in(there, lines, marks)
        await there.accounts.rename(await there.accounts.require("acme/a"), "acme/renamed")
        await there.accounts.forget(await there.accounts.require("acme/b"))
        again = await connected(there, "acme/b")
        await connected(there, "acme/other")
        checked = check_export(ExportReader([lines]))
        present = await importer(there, marks).present(checked)
        assert present.names == {"acme/renamed", "acme/b", "acme/c"}
        assert again.id != two.id
        assert one.id in present.ids

    async def test_they_are_left_where_a_person_says_so(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        await connected(there, "acme/one")
        mine = await there.accounts.require("acme/one")
        await connected(stores, "acme/one")
        await connected(stores, "acme/two")
        imported = await take_in(there, await export(stores), marks)
        assert imported.skipped == ["acme/one"]
        assert await there.accounts.require("acme/one") == mine
        assert await there.accounts.get("acme/two")

    async def test_they_are_replaced_where_a_person_says_so(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        """Names that were exchanged between identifiers included."""
        for name in ("a", "b"):
            await connected(stores, f"acme/{name}")
        lines = await export(stores)
        await take_in(there, lines, marks)
        a, b = [await there.accounts.require(f"acme/{name}") for name in ("a", "b")]
        for account, name in ((a, "acme/x"), (b, "acme/a"), (a, "acme/b")):
            await there.accounts.rename(account, name)
        await take_in(there, lines, marks, is_replacing=True)
        assert [account.name for account in await there.accounts.all()] == ["acme/a", "acme/b"]
        assert (await there.accounts.require("acme/a")).id == a.id

    async def test_one_that_came_into_being_meanwhile_stops_it(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        await connected(stores, "acme/one")
        await connected(stores, "acme/two")
        lines = await export(stores)
        checked = check_export(ExportReader([lines]))
        importing = importer(there, marks)
        present = await importing.present(checked)
        await connected(there, "acme/two")
        with pytest.raises(TemporarilyUnavailable, match="changed meanwhile"):
            await importing.write(
                ExportReader([lines]), checked, present, is_replacing=True, now=SOME_TIME
            )
        assert await there.accounts.get("acme/one") is None

    async def test_what_is_being_refreshed_is_not_replaced(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        await connected(stores, "acme/one")
        account = await connected(there, "acme/one")
        await there.grants.take_lease(account, "me", some_attempt())
        with pytest.raises(TemporarilyUnavailable, match="being refreshed: acme/one"):
            await take_in(there, await export(stores), marks, is_replacing=True)
        assert (await there.accounts.require("acme/one")).id == account.id

    async def test_what_it_has_sent_last_stays_known(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        """The very token of the export was sent here, and its answer was lost."""
        await connected(stores, "acme/one")
        lines = await export(stores)
        await take_in(there, lines, marks)
        account = await there.accounts.require("acme/one")
        fingerprint = there.accounts.fingerprint(Secret("refresh-1"))
        attempt = replace(some_attempt(), token_fingerprint=fingerprint, count=2)
        leased = await there.grants.take_lease(account, "me", attempt)
        assert leased is not None
        await there.grants.settle(leased, None, unanswered=leased.attempt)
        await take_in(there, lines, marks, is_replacing=True)
        kept = (await there.accounts.require("acme/one")).attempt
        assert kept is not None
        assert (kept.count, kept.token_fingerprint) == (2, fingerprint)


class TestOlder:
    """An export that is older than what was written here since holds spent refresh tokens."""

    async def test_it_is_held_where_the_row_here_is_newer(
        self, stores: Stores, marks: GenerationMarks
    ) -> None:
        account = await connected(stores, "acme/one")
        lines = await export(stores)
        await stores.grants.renew(account, some_tokens("newer"))
        imported = await take_in(stores, lines, marks, is_replacing=True)
        assert imported.held == ["acme/one"]
        arrived = await stores.accounts.require("acme/one")
        assert arrived.trouble is not None
        assert arrived.trouble.is_held
        assert "connector refresh acme/one" in arrived.trouble.message
        assert arrived.generation == 3, "no late writer finds its generation"
        assert await rows(stores, "SELECT due_at FROM account") == [(None,)]

    async def test_it_is_held_where_a_mark_says_so(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        """The database was lost, and this host remembers."""
        account = await connected(stores, "acme/one")
        marks.note(account.id, 7)
        imported = await take_in(there, await export(stores), marks)
        assert imported.held == ["acme/one"]
        assert (await there.accounts.require("acme/one")).generation == 8
        assert marks.newer(account.id, 7) == 8, "the other vault on this host has gone back"

    async def test_it_is_held_where_the_row_here_was_revoked(
        self, stores: Stores, marks: GenerationMarks
    ) -> None:
        account = await connected(stores, "acme/one")
        lines = await export(stores)
        await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=True)
        assert (await take_in(stores, lines, marks, is_replacing=True)).held == ["acme/one"]

    async def test_of_two_that_were_written_equally_often_the_older_is_held(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        await connected(stores, "acme/one")
        await take_in(there, await export(stores), marks)
        here = await stores.accounts.require("acme/one")
        await stores.grants.renew(here, some_tokens("here", at=SOME_TIME + 10))
        elsewhere = await there.accounts.require("acme/one")
        lines = await export(there)
        assert elsewhere.generation == 2
        assert (await take_in(stores, lines, marks, is_replacing=True)).held == ["acme/one"]

    async def test_what_does_not_rotate_is_not_held(
        self, stores: Stores, marks: GenerationMarks
    ) -> None:
        account = await connected(stores, "acme/one")
        lines = await export(stores)
        await stores.grants.renew(account, some_tokens("newer"))
        imported = await take_in(stores, lines, marks, is_replacing=True, rotates=False)
        assert imported.held == []
        assert (await stores.accounts.require("acme/one")).trouble is None

    async def test_a_newer_one_is_not_held(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        await connected(stores, "acme/one")
        await take_in(there, await export(stores), marks)
        renewed = await there.accounts.require("acme/one")
        await there.grants.renew(renewed, some_tokens("newer"))
        marks.note(renewed.id, 3)
        imported = await take_in(stores, await export(there), marks, is_replacing=True)
        assert imported.held == []
        account = await stores.accounts.require("acme/one")
        assert stores.accounts.open_refresh_token(account) == Secret("refresh-newer")

    async def test_what_is_held_is_exported_as_held(
        self, stores: Stores, there: Stores, marks: GenerationMarks, tmp_path: Path
    ) -> None:
        account = await connected(stores, "acme/one")
        lines = await export(stores)
        await stores.grants.renew(account, some_tokens("newer"))
        await take_in(stores, lines, marks, is_replacing=True)
        others = GenerationMarks(tmp_path / "of another host")
        imported = await take_in(there, await export(stores), others)
        others.close()
        assert imported.held == ["acme/one"]
        trouble = (await there.accounts.require("acme/one")).trouble
        assert trouble is not None
        assert trouble.retry_at == HELD


async def test_what_it_seals_is_counted(
    stores: Stores, there: Stores, marks: GenerationMarks, clock: FixedClock
) -> None:
    """No data key seals more than it may (CHECKLIST 111)."""
    for number in range(3):
        await connected(stores, f"acme/{number}")
    lines = await export(stores)
    checked = check_export(ExportReader([lines]))
    counts = SealCounts(there.database, there.vault, now=clock, block=1)
    sealed = there.vault.sealed
    importing = VaultImport(there.database, there.vault, marks, lambda _: True, counts)
    present = await importing.present(checked)
    await importing.write(
        ExportReader([lines]), checked, present, is_replacing=False, now=SOME_TIME
    )
    assert there.vault.sealed == sealed + 6
    assert await rows(there, "SELECT seals FROM vault_key") == [(there.vault.sealed,)]


class TestWhole:
    async def test_a_file_that_changes_while_it_is_read_writes_nothing(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        await connected(stores, "acme/one")
        lines = await export(stores)
        await connected(stores, "acme/two")
        other = await export(stores)
        checked = check_export(ExportReader([lines]))
        importing = importer(there, marks)
        present = await importing.present(checked)
        for changed in (other, lines[:-10], lines.replace(b'"generation":1', b'"generation":-1')):
            with pytest.raises(ExportError):
                await importing.write(
                    ExportReader([changed]), checked, present, is_replacing=True, now=SOME_TIME
                )
        assert await there.accounts.all() == []
        assert marks.newer(next(iter(checked.names)), 0) is None

    async def test_what_is_here_of_other_rows_stays(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        await furnish(stores)
        lines = await export(stores)
        await take_in(there, lines, marks)
        before = await everything(there)
        again = await take_in(there, lines, marks)
        assert again.counts == {} or not any(again.counts.values())
        assert await everything(there) == before

    async def test_a_run_under_way_is_one_that_was_interrupted(
        self, stores: Stores, there: Stores, marks: GenerationMarks
    ) -> None:
        await stores.runs.claim("pull", "acme/one", 60.0, owner="me", now=SOME_TIME)
        await take_in(there, await export(stores), marks)
        (run,) = await there.runs.history(None, limit=9)
        assert (run.outcome, run.error, run.finished_at) == ("interrupted", INTERRUPTED, SOME_TIME)
        assert (await stores.runs.history(None, limit=9))[0].outcome == "running"

    async def test_more_than_a_batch_of_each(
        self, stores: Stores, there: Stores, marks: GenerationMarks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("connector.store.vault_import.BATCH", 2)
        monkeypatch.setattr("connector.store.present_accounts._BATCH", 3)
        await furnish(stores)
        before = await everything(stores)
        lines = await export(stores, batch=3)
        await take_in(there, lines, marks)
        assert await everything(there) == before
        assert len((await importer(there, marks).present(checked_of(lines))).ids) == 7


def checked_of(lines: bytes) -> Checked:
    return check_export(ExportReader([lines]))
