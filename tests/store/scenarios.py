"""What workers do; each scenario gets ready, waits for `go`, and gives what JSON can hold."""

import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from connector.secret import Secret
from connector.store.audit import AuditStore
from connector.store.audit_entry import Actor, Entry
from connector.store.consents import ConsentRecord
from connector.store.database import Database, prepare_file
from connector.store.notices import NoticeStore
from connector.store.owner import new_owner
from connector.store.schema import current_revision, migrate
from connector.store.sealed_values import SealedValues
from connector.store.vault_keys import ensure_vault, make_data_key
from connector.store.vault_seals import change_seal
from connector.testing import SOME_TIME, MemorySeal, Stores, open_stores, some_attempt, some_tokens
from connector.vault.key_source import file_source
from connector.vault.seal import LocalSeal, open_seal

Go = Callable[[], Awaitable[None]]

#: The key of every vault here.
KEY: Final = "00112233445566778899aabbccddeeff" * 2


@asynccontextmanager
async def _database(url: str) -> AsyncIterator[Database]:
    database = Database(make_url(url), now=lambda: SOME_TIME)
    try:
        yield database
    finally:
        await database.aclose()


@asynccontextmanager
async def _stores(url: str) -> AsyncIterator[Stores]:
    async with _database(url) as database:
        yield await open_stores(database, MemorySeal(KEY))


async def begin_account(go: Go, url: str, name: str) -> object:
    async with _stores(url) as stores:
        await go()
        return (await stores.accounts.begin(name, "acme", now=SOME_TIME)).id


async def take_lease(go: Go, url: str, name: str) -> object:
    async with _stores(url) as stores:
        account = await stores.accounts.require(name)
        await go()
        taken = await stores.grants.take_lease(account, new_owner(), some_attempt())
        return None if taken is None or taken.lease is None else taken.lease.fence


async def claim_notice(go: Go, url: str, channel: str) -> object:
    """Claim what a channel is to tell, and never say what became of it."""
    async with _database(url) as database:
        await go()
        claimed = await NoticeStore(database).claim(channel, owner=new_owner(), now=SOME_TIME)
        return None if claimed is None else [claimed.notice.id, claimed.notice.number]


async def hold_lease(go: Go, url: str, name: str) -> object:
    """Take the lease, tell, and never give it back."""
    async with _stores(url) as stores:
        account = await stores.accounts.require(name)
        await stores.grants.take_lease(account, new_owner(), some_attempt())
        await go()
        return None


async def renew(go: Go, url: str, name: str, tokens: str) -> object:
    async with _stores(url) as stores:
        account = await stores.accounts.require(name)
        await go()
        return await stores.grants.renew(account, some_tokens(tokens)) is not None


async def consume(go: Go, url: str, consent_id: str) -> object:
    async with _stores(url) as stores:
        record = await stores.consents.get(consent_id)
        assert isinstance(record, ConsentRecord)
        await go()
        return await stores.consents.consume(record, now=record.created_at)


async def claim(go: Go, url: str, job: str, account: str, due_at: float | None) -> object:
    async with _stores(url) as stores:
        await go()
        run = await stores.runs.claim(job, account, due_at, owner=new_owner(), now=SOME_TIME)
        return None if run is None else run.id


async def hold_run(go: Go, url: str, job: str, account: str, due_at: float | None) -> object:
    """Begin a run, tell, and never end it."""
    async with _stores(url) as stores:
        await stores.runs.claim(job, account, due_at, owner=new_owner(), now=SOME_TIME)
        await go()
        return None


async def pause(go: Go, url: str, job: str) -> object:
    async with _stores(url) as stores:
        await go()
        await stores.runs.pause(job, now=SOME_TIME)
        return sorted(await stores.runs.paused())


async def count_up(go: Go, url: str, times: int) -> object:
    """Read a number and write the next one, over and over."""
    async with _database(url) as database:
        await go()
        for _ in range(times):
            async with database.write() as connection:
                lock = "" if database.is_sqlite else " FOR UPDATE"
                query = f"SELECT pinned_at FROM authorization_server_metadata{lock}"  # noqa: S608
                number = (await connection.execute(text(query))).scalar_one()
                await connection.execute(
                    text("UPDATE authorization_server_metadata SET pinned_at = :next"),
                    {"next": number + 1},
                )
        return times


async def hold_write_lock(go: Go, url: str) -> object:
    """Hold the lock that every writer needs until told."""
    async with _database(url) as database, database.write() as connection:
        await connection.execute(text("DELETE FROM job"))
        await go()
        return None


async def migrate_it(go: Go, url: str) -> object:
    async with _database(url) as database:
        await go()
        await migrate(database)
        return await current_revision(database)


async def make_vault(go: Go, url: str, folder: str) -> object:
    """All that ``connector init`` does to a new vault sealed by a file."""
    async with _database(url) as database:
        await go()
        if database.path is not None:
            prepare_file(database.path)
        await migrate(database)
        vault, is_new = await ensure_vault(
            database, open_seal("file", "keys/root.key", Path(folder)), now=time.time()
        )
        return [vault.store_id, is_new]


async def die_in_a_migration(go: Go, url: str) -> object:
    """Be killed when some of the tables are there."""
    from alembic import op

    create_table = op.create_table
    made: list[str] = []

    def create_and_die(name: str, *arguments: Any, **options: Any) -> object:
        made.append(name)
        if len(made) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return create_table(name, *arguments, **options)

    op.create_table = create_and_die  # type: ignore[assignment]
    await go()
    async with _database(url) as database:
        await migrate(database)
    return made


async def die_while_writing(go: Go, url: str, name: str) -> object:
    """Be killed between the write of new tokens and its commit."""
    async with _stores(url) as stores:
        account = await stores.accounts.require(name)
        await go()
        async with stores.database.write() as connection:
            await connection.execute(
                text("UPDATE account SET generation = generation + 1, access_token_sealed = NULL")
            )
            os.kill(os.getpid(), signal.SIGKILL)
        return account.name


async def read_and_renew(go: Go, url: str, name: str, tokens: str) -> object:
    """Open the vault, wait, then read an account's refresh token and write new ones."""
    async with _stores(url) as stores:
        await go()
        account = await stores.accounts.require(name)
        read = stores.accounts.open_refresh_token(account)
        await stores.grants.renew(account, some_tokens(tokens))
        return [read.reveal() if read else None, stores.vault.current_key_id]


async def renew_often(go: Go, url: str, name: str, times: int) -> object:
    """Renew an account again and again, and read each time what was written; give the last."""
    async with _stores(url) as stores:
        await go()
        for number in range(times):
            account = await stores.accounts.require(name)
            assert await stores.grants.renew(account, some_tokens(f"{name} {number}")) is not None
            again = await stores.accounts.require(name)
            read = stores.accounts.open_refresh_token(again)
            assert read == Secret(f"refresh-{name} {number}"), "an older token came back"
        return f"refresh-{name} {number}"


async def die_in_a_rotation(go: Go, url: str, batch: int, statement: str, count: int) -> object:
    """Rotate the data key, and be killed once so many statements that begin so were executed."""
    async with _stores(url) as stores:
        seen = 0

        def count_and_die(_connection: object, _cursor: object, sent: str, *_: object) -> None:
            nonlocal seen
            seen += sent.startswith(statement)
            if seen == count:
                os.kill(os.getpid(), signal.SIGKILL)

        await go()
        for engine in stores.database.engines:
            event.listen(engine, "after_cursor_execute", count_and_die)
        await make_data_key(stores.database, stores.vault, now=SOME_TIME)
        return await SealedValues(stores.database, stores.vault, batch=batch).reseal()


async def die_in_a_change_of_seals(
    go: Go, url: str, folder: str, moment: str, *, keep: bool
) -> object:
    """Move the vault to another seal, and be killed at a moment of it."""

    class Dying(LocalSeal):
        def wrap(self, root_key: bytes, store_id: str) -> bytes:
            if moment == "prepared":
                _die()
            return super().wrap(root_key, store_id)

    def die_after(_connection: object, _cursor: object, sent: str, *_: object) -> None:
        if sent.startswith(moment):
            _die()

    async with _stores(url) as stores:
        database = stores.database
        await go()
        for engine in database.engines:
            event.listen(engine, "after_cursor_execute", die_after)
            if moment == "commit":
                event.listen(engine, "commit", lambda _connection: _die())
        if moment == "committed":
            database.scrub = _die  # type: ignore[assignment,method-assign]
        new = Dying(file_source(Path(folder) / "new.key"))
        return await change_seal(database, MemorySeal(KEY), new, keep=keep, now=SOME_TIME)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _audit(stores: Stores) -> AuditStore:
    actor = Actor(kind="uid", name=str(os.getpid()), through="worker")
    return AuditStore(stores.database, stores.vault, actor)


async def append_often(go: Go, url: str, name: str, times: int) -> object:
    """Append to the audit trail, two rows at a time."""
    async with _stores(url) as stores:
        trail = _audit(stores)
        await go()
        for _ in range(times):
            await trail.append([Entry(event="account.revoked", account=name)] * 2, now=SOME_TIME)
        return times * 2


async def die_while_appending(go: Go, url: str) -> object:
    """Be killed when three rows are in the transaction, and it is not committed."""
    async with _stores(url) as stores:
        await go()

        def die(_connection: object, _cursor: object, sent: str, *_: object) -> None:
            if sent.startswith("INSERT INTO audit"):
                os.kill(os.getpid(), signal.SIGKILL)

        for engine in stores.database.engines:
            event.listen(engine, "after_cursor_execute", die)
        await _audit(stores).append([Entry(event="account.revoked")] * 3, now=SOME_TIME)
        return None


SCENARIOS: Final[dict[str, Callable[..., Coroutine[Any, Any, object]]]] = {
    one.__name__: one
    for one in (
        begin_account,
        take_lease,
        claim_notice,
        hold_lease,
        renew,
        consume,
        claim,
        hold_run,
        pause,
        count_up,
        hold_write_lock,
        migrate_it,
        make_vault,
        die_in_a_migration,
        die_while_writing,
        read_and_renew,
        renew_often,
        die_in_a_rotation,
        die_in_a_change_of_seals,
        append_often,
        die_while_appending,
    )
}
