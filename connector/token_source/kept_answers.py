"""Answers that could not be committed: kept in the journal, and replayed from it.

A kept answer counts as durable: its token is handed out at once, and written to the store as soon
as that is back, by this process, by another one on this host that finds it, or by the next start.
"""

import logging

from connector import errors
from connector.account import Account
from connector.journal import Journal, Record
from connector.store.grants import GrantStore
from connector.store.late_tokens import LateTokenStore
from connector.store.pending_write import PendingWrite
from connector.worker_thread import WorkerThread

logger = logging.getLogger(__name__)


class KeptAnswers:
    """Keeps and replays answers.

    Args:
        journal: where they are.
        grants: writes them to the store.
        late_tokens: keeps the refresh token of one that comes too late.

    Attributes:
        journal: as given.
    """

    def __init__(self, journal: Journal, grants: GrantStore, late_tokens: LateTokenStore) -> None:
        self.journal = journal
        # one after the other: each record is written behind the one before it
        self._thread = WorkerThread("journal")
        self._grants = grants
        self._late_tokens = late_tokens
        self._unwritten: list[Record] = []  # for which not even the journal had room

    @property
    def count(self) -> int:
        """How many answers of this process are not in the store yet."""
        return len(self._unwritten) + len(self.journal.held())

    async def prepare(self) -> None:
        """See to it that an answer can be kept, whatever happens.

        Raises:
            TemporarilyUnavailable: it could not be.
        """
        if not self.journal.is_prepared:
            await self._thread.run(self.journal.prepare)

    async def adopt(self) -> None:
        """Take over what processes of this host have left that have ended.

        Raises:
            TemporarilyUnavailable: the journal cannot be used.
        """
        await self._thread.run(self.journal.adopt)

    async def replay(self, account: Account) -> Account | None:
        """Apply the answer that a journal on this host holds for an account; None: there is none.

        Raises:
            TemporarilyUnavailable: the journal cannot be read, or the store cannot be written.
        """
        wanted = (account.id, account.generation)
        for unwritten in self._unwritten:
            if (unwritten.account_id, unwritten.generation) == wanted:
                return await self._apply(unwritten)
        record = await self._thread.run(lambda: self.journal.find(*wanted))
        return None if record is None else await self._apply(record)

    async def replay_held(self) -> list[str]:
        """Apply all that this process holds.

        Returns:
            The identifiers of accounts for which somebody else has written meanwhile: what this
            process took for their newest tokens is not.

        Raises:
            TemporarilyUnavailable: the store cannot be written; all is still held.
        """
        held = [*self._unwritten, *self.journal.held()]
        return [record.account_id for record in held if await self._apply(record) is None]

    async def keep(
        self, account: Account, write: PendingWrite, cause: errors.ConnectorError
    ) -> Account:
        """Keep in the journal what cannot be written to the store.

        Args:
            account: as it is in the store.
            write: the new tokens.
            cause: why they cannot be written.

        Returns:
            The account as it will be.

        Raises:
            TemporarilyUnavailable: the journal cannot be written either; this process remembers
                the answer, and tries again to write it to the store.
        """
        record = Record(
            account_id=write.account_id, generation=write.generation, payload=write.dump()
        )
        try:
            await self._thread.run(lambda: self.journal.keep(record))
        except errors.TemporarilyUnavailable as error:
            self._unwritten.append(record)
            extra = {"action": "journal.full", "account": account.name}
            logger.error("the new tokens are in memory alone: %s", error, extra=extra)  # noqa: TRY400
            raise
        logger.warning(
            "the new tokens are kept in the journal: %s",
            cause,
            extra={"action": "journal.kept", "account": account.name},
        )
        return write.applied_to(account)

    def close(self) -> None:
        """Let go of the journal; what it holds stays for the next one."""
        self._thread.close()
        self.journal.close()

    async def _apply(self, record: Record) -> Account | None:
        try:
            write = PendingWrite.load(record.payload)
        except ValueError:
            logger.exception(
                "the journal holds what cannot be read", extra={"action": "journal.unreadable"}
            )
            return None
        renewed = await self._grants.apply(write)
        if renewed is None:
            await self._keep_late(write)
        if record in self._unwritten:
            self._unwritten.remove(record)
        else:
            await self._thread.run(lambda: self.journal.settle(record))
        text = "written from the journal" if renewed else "the journal's tokens had been replaced"
        extra = {"action": "journal.replayed", "account": renewed.name if renewed else ""}
        logger.info(text, extra=extra)
        return renewed

    async def _keep_late(self, write: PendingWrite) -> None:
        try:
            await self._late_tokens.keep(write)
        except errors.VaultSealed as error:
            logger.warning(
                "a late token does not open: %s",
                error.reason,
                extra={"action": "journal.unreadable"},
            )
