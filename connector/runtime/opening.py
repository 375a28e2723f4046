"""Opens database and vault as a configuration says, and builds the objects."""

import logging
import time
from collections.abc import Callable

from connector.errors import ConfigurationError, Problem, VaultSealed
from connector.journal_folder import check_journal, check_mode
from connector.runtime.objects import Runtime
from connector.seal_kinds import NotASeal
from connector.settings import Settings
from connector.store.audit_entry import Entry, process_actor
from connector.store.database import Database
from connector.store.database_file import check_whole, database_url, prepare_database, remove_new
from connector.store.owner import boot_time
from connector.store.schema import migrate
from connector.store.vault_keys import ensure_vault, load_vault
from connector.vault.seal import Seal, open_seal

logger = logging.getLogger(__name__)


async def open_runtime(
    settings: Settings,
    *,
    has_background: bool,
    create: bool = False,
    through: str = "library",
    now: Callable[[], float] = time.time,
) -> Runtime:
    """Open database and vault, and build the objects.

    Args:
        settings: the configuration.
        has_background: this process lives on.
        create: make the vault where there is none.
        through: what this process is, in the audit trail.
        now: gives seconds since the epoch.

    Raises:
        VaultSealed: there is no vault, its key is missing or wrong, or its file is not safe.
        ConfigurationError: a secret of ``vault.url`` is missing, or a restart of this machine would
            empty the journal.
        TemporarilyUnavailable: the database cannot be had.
    """
    seal = configured_seal(settings)
    lease_clock = boot_time if now is time.time else now
    database = Database(database_url(settings.vault), now=now, lease_clock=lease_clock)
    try:
        check_journal(
            settings.vault.journal,
            database=database.path,
            is_volatile_allowed=settings.vault.allow_volatile_journal,
            source=settings.path.name,
        )
        check_mode(settings.vault.journal)
        is_new_file = prepare_database(database, create=create)
        try:
            if has_background:
                await check_whole(database)
            await migrate(database)
            is_new = False
            if create:
                vault, is_new = await ensure_vault(database, seal, now=now())
                if is_new:
                    logger.info(
                        "vault made, sealed by %s",
                        seal.description,
                        extra={"action": "vault.made", "path": database.description},
                    )
            else:
                vault = await load_vault(database, seal)
        except VaultSealed:
            if is_new_file:
                await database.aclose()
                remove_new(database)
            raise
    except BaseException:
        await database.aclose()
        raise
    actor = process_actor(through)
    runtime = Runtime(
        settings, database, vault, has_background=has_background, actor=actor, now=now
    )
    if is_new:
        runtime.trail.note(Entry(event="vault.made", detail={"seal": seal.description, "key": 1}))
    return runtime


def configured_seal(settings: Settings) -> Seal:
    """Give the seal that a configuration names; nothing is asked of it yet.

    Raises:
        ConfigurationError: its name means nothing to it.
    """
    try:
        return open_seal(settings.vault.seal_kind, settings.vault.seal_name, settings.folder)
    except NotASeal as error:
        problem = Problem(settings.path.name, "vault.seal", error.message, error.remedy)
        raise ConfigurationError([problem]) from None
