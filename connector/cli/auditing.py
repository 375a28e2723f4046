"""Writes to the audit trail for a command that has the vault open and no runtime."""

import time
from collections.abc import Awaitable, Callable

import click

from connector.settings import Settings
from connector.store.audit import AuditStore
from connector.store.audit_entry import Entry, process_actor
from connector.store.audit_mark import AuditMark
from connector.store.audit_trail import AuditTrail
from connector.store.database import Database
from connector.vault.vault import Vault


def note_with(
    settings: Settings, database: Database, entry: Entry
) -> Callable[[Vault], Awaitable[None]]:
    """Give what writes an entry once the vault is open; where it cannot, that is told in the log.

    Args:
        settings: the configuration.
        database: open.
        entry: what happened, by the time that it is called.
    """
    actor = process_actor(click.get_current_context().command_path)

    async def write(vault: Vault) -> None:
        mark = AuditMark(settings.vault.journal, vault.store_id)
        trail = AuditTrail(AuditStore(database, vault, actor, mark), now=time.time)
        trail.note(entry)
        await trail.aclose()

    return write
