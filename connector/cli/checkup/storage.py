"""Checks of the vault's database and of the journal: what is sealed, and what waits."""

import stat
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

from sqlalchemy import text

from connector.cli.checkup.finding import Finding, ok, problem, warning
from connector.cli.output import counted
from connector.errors import ConnectorError
from connector.journal import Journal
from connector.journal_folder import volatile_type
from connector.runtime import Runtime, configured_seal
from connector.settings import Settings
from connector.store.key_census import count_by_key
from connector.store.pending_write import PendingWrite

#: What Postgres must say so that a commit survives a power cut of its host.
_DURABLE: dict[str, str] = {"synchronous_commit": "on", "fsync": "on", "full_page_writes": "on"}


async def check_storage(runtime: Runtime) -> AsyncIterator[Finding]:
    """Check database, keys and journal of an open vault."""
    settings = runtime.settings
    seal = configured_seal(settings)
    yield ok("vault", f"{runtime.database.description} opens, sealed by {seal.description}")
    if settings.vault.seal_kind == "env":
        yield warning(
            "seal",
            f"{seal.description} can be read by the same user, and is kept by what starts us",
            'seal = "credential:NAME" is safer: connector vault rotate --seal credential:NAME',
        )
    if runtime.database.is_sqlite:
        yield await _check_sqlite(runtime)
    else:
        yield await _check_postgres(runtime)
    yield await _check_keys(runtime)
    for finding in _check_journal(settings, runtime):
        yield finding


async def _check_sqlite(runtime: Runtime) -> Finding:
    async with runtime.database.read() as connection:
        mode = (await connection.execute(text("PRAGMA journal_mode"))).scalar()
        level = (await connection.execute(text("PRAGMA synchronous"))).scalar()
    return ok("database", f"SQLite, journal_mode {mode}, synchronous {level} (2 is FULL)")


async def _check_postgres(runtime: Runtime) -> Finding:
    async with runtime.database.read() as connection:
        found = {
            name: (await connection.execute(text(f"SHOW {name}"))).scalar() for name in _DURABLE
        }
        version = (await connection.execute(text("SHOW server_version"))).scalar()
    odd = [f"{name} is {value}" for name, value in found.items() if value != _DURABLE[name]]
    if odd:
        return warning(
            "database",
            f"Postgres {version}: {', '.join(odd)}: a power cut there can lose a token",
            "set these on in postgresql.conf",
        )
    return ok("database", f"Postgres {version}, {', '.join(f'{name} on' for name in found)}")


async def _check_keys(runtime: Runtime) -> Finding:
    """Tell how many values are sealed under older data keys; none of them is opened here."""
    found = await count_by_key(runtime.database)
    newest = runtime.vault.current_key_id
    older = sum(count for key, count in found.items() if key < newest)
    if older:
        return warning(
            "data keys",
            f"{older} of {sum(found.values())} sealed values are under older data keys",
            "type: connector vault rotate --resume",
        )
    if not found:
        return ok("data keys", f"nothing is sealed yet; data key {newest} will be used")
    return ok(
        "data keys", f"{counted(sum(found.values()), 'sealed value')}, all under data key {newest}"
    )


def _check_journal(settings: Settings, runtime: Runtime) -> Iterator[Finding]:
    folder = settings.vault.journal
    kind = volatile_type(folder)
    if kind is not None:
        message = f"{folder} is on a {kind}, which a restart of this machine empties"
        yield warning("journal", message, "name a folder on a disk as vault.journal")
    try:
        waiting = Journal(folder).waiting()
    except ConnectorError as error:
        yield problem("journal", error)
        return
    if not waiting:
        mode = f", mode {stat.S_IMODE(folder.stat().st_mode):04o}" if folder.exists() else ""
        yield ok("journal", f"{folder}{mode}: no answer waits there")
        return
    oldest = min(_minted_at(record.payload, runtime.now()) for record in waiting)
    since = datetime.fromtimestamp(oldest, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    yield warning(
        "journal",
        f"{len(waiting)} answers wait to be written to the database, since {since}",
        "the daemon, or whoever asks for their tokens, writes them; nothing is lost",
    )


def _minted_at(payload: bytes, now: float) -> float:
    """Give when an answer came; now, where it is not ours to read."""
    try:
        return PendingWrite.load(payload).terms.minted_at
    except ValueError:
        return now
