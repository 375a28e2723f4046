"""How many values a data key has sealed, counted in the database; a worn key is replaced by itself.

Nonces are random, so that two may be alike: among 2^32 under one key with a chance of one in 2^33
(NIST SP 800-38D §8.3 allows no more). At half of that a new data key is made, by whichever process
comes to it, and seals what is new; a quarter is told of in the log (CHECKLIST 111). What the older
key has sealed opens, and needs not be sealed anew.

Counting costs no commit: a process counts ahead, a block at a time, in the transaction that writes
the first value of the block; a consent under way and a debt of revocation are counted with the next
grant that is written. So a crash counts too much, never too little. A database restored from
a backup has forgotten what was sealed since; that, and what a forked child seals of its parent's
block, is what the other half is for. No nonce comes from a counter, which both could turn back.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, bindparam, update
from sqlmodel import col

from connector.errors import ConnectorError
from connector.store.audit_entry import Entry
from connector.store.audit_trail import Note, unnoted
from connector.store.database import Database
from connector.store.tables import VaultKeyRow
from connector.store.vault_keys import replace_data_key
from connector.vault.vault import Vault

logger = logging.getLogger(__name__)

#: Values that are counted at once, ahead.
BLOCK: Final = 256
#: So many values are sealed with one key.
MOST_SEALS: Final = 2**31
#: As a part of `MOST_SEALS`: what is worth a line in the log.
_MUCH: Final = 0.5
#: Seconds for which a replacement is waited for at the end.
_PATIENCE: Final = 2.0

_COUNT: Final = (
    update(VaultKeyRow)
    .where(col(VaultKeyRow.key_id) == bindparam("of_key"))
    .values(seals=col(VaultKeyRow.seals) + bindparam("more"))
    .returning(col(VaultKeyRow.seals))
)


class SealCounts:
    """Counts what one process seals, and replaces a data key that has sealed enough.

    Args:
        database: where the counts are.
        vault: what seals.
        now: gives seconds since the epoch.
        note: is told of a new key, for the audit trail.
        block: values that are counted at once.
        most: values that are sealed with one key.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        *,
        now: Callable[[], float],
        note: Note = unnoted,
        block: int = BLOCK,
        most: int = MOST_SEALS,
    ) -> None:
        self._note = note
        self._database = database
        self._vault = vault
        self._now = now
        self._block = block
        self._most = most
        self._counted = 0  # of what this process has sealed, or will
        self._pending = 0  # the same, once the transaction under way is committed
        self._worn: tuple[int, int] | None = None
        self._told: set[int] = set()
        self._replacing: asyncio.Task[None] | None = None

    def within(self, connection: Connection) -> None:
        """Count what was sealed and is not counted; call it last in a transaction.

        Args:
            connection: in a transaction that has locked what else it locks; `committed` is to be
                called once it is committed.
        """
        self._pending = self._counted
        missing = self._vault.sealed - self._counted
        if missing <= 0:
            return
        more = -(-missing // self._block) * self._block
        key_id = self._vault.current_key_id
        seals = connection.execute(_COUNT, {"of_key": key_id, "more": more}).scalar_one_or_none()
        self._pending += more
        if seals is not None and seals >= self._most * _MUCH:
            self._worn = key_id, seals

    def committed(self) -> None:
        """Take note that the count is durable; a key that is worn is replaced in the background."""
        self._counted = self._pending
        if self._worn is None:
            return
        (key_id, seals), self._worn = self._worn, None
        if key_id not in self._told:
            self._told.add(key_id)
            extra = {"action": "vault.key_worn", "count": seals}
            logger.warning(
                "data key %d has sealed %d values; another takes its place at %d",
                key_id,
                seals,
                self._most,
                extra=extra,
            )
        is_idle = self._replacing is None or self._replacing.done()
        if seals >= self._most and is_idle and key_id == self._vault.current_key_id:
            self._replacing = asyncio.create_task(self._replace(key_id), name="data key")

    async def aclose(self) -> None:
        """Let a replacement end, unless the database hangs: another process will come to it."""
        if self._replacing is not None:
            await asyncio.wait({self._replacing}, timeout=_PATIENCE)
            self._replacing.cancel()
            await asyncio.gather(self._replacing, return_exceptions=True)

    async def _replace(self, worn: int) -> None:
        try:
            key_id = await replace_data_key(self._database, self._vault, worn, now=self._now())
        except ConnectorError as error:  # the next block tries it again
            logger.warning("%s", error, extra={"action": "vault.key_not_made"})
        else:
            extra = {"action": "vault.key_made"}
            logger.info("data key %d seals new values from now on", key_id, extra=extra)
            self._note(Entry(event="vault.key_made", outcome="worn", detail={"key": key_id}))
