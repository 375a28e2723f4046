"""The audit trail in the database: appended to, read, verified, and shortened at its beginning.

Whoever appends holds the lock of all writers: SQLite's own, an advisory one on Postgres, which is
always the last lock that a transaction takes, so that no two processes wait for each other. So the
numbers have no gap, and a writer that dies leaves nothing half.

Rows that are too old are removed from the beginning, and the last of them is kept as an anchor,
with a proof that only who has the vault's key can make. The newest row always stays.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, text

from connector.store.audit_chain import (
    BEGINNING,
    COLUMNS,
    DoesNotFit,
    Head,
    check_row,
    make_row,
    prove_anchor,
)
from connector.store.audit_entry import Actor, Entry
from connector.store.audit_mark import AuditMark
from connector.store.audit_walk import Verified, Walk, anchored
from connector.store.database import Database
from connector.store.tables import AUDIT, AUDIT_ANCHOR
from connector.vault.vault import Vault

logger = logging.getLogger(__name__)

#: Rows that are read, or removed, together: bounds the memory, and how long others wait.
BATCH: Final = 1000
#: Serialises writers on Postgres (any number that is ours, and not that of migrations).
_AUDIT_LOCK: Final = 0x434E4155
#: As the driver gives them: what does not fit is to be told, and not to be stumbled over.
_RAW: Final = ", ".join(f'"{name}"' for name in (*COLUMNS, "chain"))
_FIRST: Final = text(f"SELECT {_RAW} FROM audit ORDER BY number LIMIT :batch")  # noqa: S608 - names
_NEXT: Final = text(
    f"SELECT {_RAW} FROM audit WHERE number > :number ORDER BY number LIMIT :batch"  # noqa: S608
)
_NEWEST: Final = select(AUDIT.c.number, AUDIT.c.chain).order_by(AUDIT.c.number.desc()).limit(1)
_ANCHOR: Final = text("SELECT number, chain, proof FROM audit_anchor")
#: A trail that is shortened all the while it is read is begun anew so often.
_MOST_BEGINNINGS: Final = 10

Progress = Callable[[int], None]


class AuditStore:
    """The trail of one database.

    Args:
        database: where it is.
        vault: has the key of the chain.
        actor: this process, for what nobody else did.
        mark: where it is noted how far the trail has come.
    """

    def __init__(
        self, database: Database, vault: Vault, actor: Actor, mark: AuditMark | None = None
    ) -> None:
        self._database = database
        self._vault = vault
        self._actor = actor
        self._mark = mark
        self._is_cut_told = False

    async def append(self, entries: Sequence[Entry], *, now: float) -> None:
        """Append entries in a transaction of their own.

        Args:
            entries: in their order.
            now: seconds since the epoch, for those that do not say when.

        Raises:
            TemporarilyUnavailable: the database cannot be had; nothing was written.
            VaultSealed: it is damaged, or closed to us.
            IntegrityError: (SQLAlchemy's) somebody has written past the lock.
        """
        head = await self._database.transact(
            lambda connection: self.append_within(connection, entries, now=now)
        )
        self.note(head)

    def append_within(
        self, connection: Connection, entries: Sequence[Entry], *, now: float
    ) -> Head | None:
        """Append entries inside a transaction, as the last that it locks.

        Returns:
            What is to be given to `note` once it is committed.
        """
        head = self._locked_head(connection)
        is_known = self._is_as_noted(connection, head)
        rows = []
        for entry in entries:
            row, head = make_row(self._vault, head, entry, actor=self._actor, at=now)
            rows.append(row)
        if rows:
            connection.execute(insert(AUDIT), rows)
        return head if is_known else None

    def note(self, head: Head | None) -> None:
        """Note how far the trail has come, once that is committed."""
        if self._mark is not None and head is not None:
            self._mark.note(head)

    async def newest_first(self) -> AsyncIterator[Row[Any]]:
        """Give the rows, the newest first; they are read in batches.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        query = select(AUDIT).order_by(AUDIT.c.number.desc()).limit(BATCH)
        rows = await self._read(query)
        while rows:
            for row in rows:
                yield row
            rows = await self._read(query.where(AUDIT.c.number < rows[-1].number))

    async def count(self) -> int:
        """Give how many rows there are."""
        ((count,),) = await self._read(text("SELECT count(*) FROM audit"))
        return int(count)

    async def verify(self, on_progress: Progress | None = None) -> Verified:
        """Walk over the whole trail.

        Args:
            on_progress: is told after each batch how many rows it had.
        """
        beginnings = 0
        while True:
            # first how far it had come, then the trail itself: others append meanwhile
            noted = None if self._mark is None else self._mark.read()
            walk = Walk(vault=self._vault, noted=noted)
            anchor = await self._read(_ANCHOR)
            try:
                walk.begin(anchor)
                await self._walk(walk, on_progress)
                walk.end()
            except DoesNotFit as error:
                beginnings += 1
                is_shortened = await self._read(_ANCHOR) != anchor
                if not is_shortened or beginnings == _MOST_BEGINNINGS:
                    return walk.result(str(error))
            else:
                return walk.result(None)

    async def prune(self, before: float) -> int:
        """Remove the rows from the beginning that are older, in batches; the newest one stays.

        Nothing is removed that does not fit.

        Args:
            before: seconds since the epoch.

        Returns:
            How many were removed.

        Raises:
            DoesNotFit: a row that is to be removed does not fit.
        """
        removed = 0
        while count := await self._database.transact(
            lambda connection: self._prune(connection, before)
        ):
            removed += count
        return removed

    async def _walk(self, walk: "Walk", on_progress: Progress | None) -> None:
        rows = await self._read(_FIRST, batch=BATCH)
        while rows:
            walk.take(rows)
            if on_progress is not None:
                on_progress(len(rows))
            rows = await self._read(_NEXT, number=rows[-1].number, batch=BATCH)

    async def _read(self, query: Any, **parameters: object) -> list[Row[Any]]:
        async with self._database.read() as connection:
            return list((await connection.execute(query, parameters)).all())

    def _locked_head(self, connection: Connection) -> Head:
        if not self._database.is_sqlite:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_AUDIT_LOCK})"))
        newest = connection.execute(_NEWEST).one_or_none()
        if newest is None:  # none was written yet, or they were all taken away
            newest = connection.execute(_ANCHOR).one_or_none()
        if newest is None:
            return BEGINNING
        return Head(number=newest.number, chain=bytes(newest.chain))

    def _is_as_noted(self, connection: Connection, head: Head) -> bool:
        """Tell whether the trail has what was noted of it; else what was noted is left to show."""
        noted = None if self._mark is None else self._mark.read()
        if noted is None or noted == head:
            return True
        query = select(AUDIT.c.chain).where(AUDIT.c.number == noted.number)
        chain = connection.execute(query).scalar()
        if chain is not None:
            is_there = bytes(chain) == noted.chain
        else:
            anchor = connection.execute(_ANCHOR).one_or_none()
            is_there = noted.number < head.number and (
                anchor is not None and anchor.number >= noted.number
            )
        if not is_there and not self._is_cut_told:
            self._is_cut_told = True
            logger.error(
                "the audit trail has gone back: row %d, which was written on this host, is gone or"
                " another one; see connector audit --verify",
                noted.number,
                extra={"action": "audit.went_back"},
            )
        return is_there

    def _prune(self, connection: Connection, before: float) -> int:
        newest = self._locked_head(connection)
        anchor = connection.execute(_ANCHOR).one_or_none()
        head = began = anchored(self._vault, [] if anchor is None else [anchor])
        for row in connection.execute(_NEXT, {"number": head.number, "batch": BATCH}):
            after = check_row(self._vault, head, row)
            if after.number >= newest.number or row.at >= before:
                break
            head = after
        if head != began:
            connection.execute(delete(AUDIT).where(AUDIT.c.number <= head.number))
            connection.execute(delete(AUDIT_ANCHOR))
            proof = prove_anchor(self._vault, head)
            values = {"id": 1, "number": head.number, "chain": head.chain, "proof": proof}
            connection.execute(insert(AUDIT_ANCHOR).values(values))
        return head.number - began.number
