"""What came of the refreshes of the last weeks, so that a person can see when trouble began.

It is written in the background, in groups, by whatever process refreshes. Nobody waits for it and
it never fails anybody; what cannot be written is kept in memory, a bounded number, and tried again.
A process that is killed forgets what it has not written yet, about a second of it. Rows belong to
an account's identifier: they stay when it is renamed, and go with it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Executable, Row, Select, bindparam, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from connector.errors import ConnectorError
from connector.store.database import Database
from connector.store.history_tables import ACCOUNT, REFRESHES

logger = logging.getLogger(__name__)

#: What happens within so long is written together (seconds): a commit costs an fsync, and the
#: writes of tokens go before.
INTERVAL: Final = 1.0
#: After a failure it is tried again so much later (seconds).
RETRY_INTERVAL: Final = 15.0
#: So many rows share a transaction: some 5 ms, for which other writers wait.
LARGEST_GROUP: Final = 500
#: So many are kept in memory while they cannot be written; then the oldest are dropped.
MOST_KEPT: Final = 10_000
#: At the end of the process the database is waited for so long (seconds).
CLOSING_TIME: Final = 2.0
#: So many rows an account has at most: three weeks of a token that lives an hour, and all that a
#: plot can show. Ten thousand accounts have half a gigabyte at the most.
MOST_OF_AN_ACCOUNT: Final = 500
#: A row that is so much later than now was written under a clock that was wrong (seconds).
_LATEST: Final = 86_400.0
#: So many accounts are looked at together when rows are removed.
_ACCOUNTS_TOGETHER: Final = 500


def _of_account(*, is_newest_first: bool = False) -> Select[tuple[float]]:
    """Make the query for one moment of an account's rows, which is found in the key."""
    at = REFRESHES.c.at
    query = select(at).where(REFRESHES.c.account_id == ACCOUNT.c.id).limit(1)
    return query.order_by(at.desc() if is_newest_first else at)


#: What there may be to remove, of each account.
ENDS: Final = (
    select(
        ACCOUNT.c.id,
        _of_account().scalar_subquery().label("oldest"),
        _of_account(is_newest_first=True).scalar_subquery().label("newest"),
        _of_account(is_newest_first=True)
        .where(REFRESHES.c.at <= bindparam("latest"))
        .offset(MOST_OF_AN_ACCOUNT)
        .scalar_subquery()
        .label("surplus"),
    )
    .where(ACCOUNT.c.id > bindparam("last"))
    .order_by(ACCOUNT.c.id)
    .limit(_ACCOUNTS_TOGETHER)
)
_DELETE: Final = delete(REFRESHES).where(
    REFRESHES.c.account_id == bindparam("of_account"),
    or_(REFRESHES.c.at <= bindparam("up_to"), REFRESHES.c.at > bindparam("latest")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRefresh:
    """What came of one request for new tokens.

    Attributes:
        account_id: whose.
        at: when it was sent (seconds since the epoch).
        seconds: until the answer, or until it was given up.
        outcome: one of `token_source.outcomes.OUTCOMES`; a newer program may have written another.
        error: the RFC error or the HTTP status, where there is one.
    """

    account_id: str
    at: float
    seconds: float
    outcome: str
    error: str | None = None


class RefreshHistory:
    """Writes, gives and removes past refreshes.

    Args:
        database: where they are.
        now: gives seconds since the epoch.

    Attributes:
        dropped: how many were lost, because the database could not be had for too long.
    """

    def __init__(self, database: Database, *, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now
        self._kept: deque[PastRefresh] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._is_failing = False
        self.dropped = 0

    def note(self, refresh: PastRefresh) -> None:
        """Take note of a refresh; to be called in the event loop."""
        if len(self._kept) >= MOST_KEPT:
            self._kept.popleft()
            self.dropped += 1
        self._kept.append(refresh)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_later(), name="refresh history")

    async def flush(self) -> None:
        """Write what is kept; what cannot be written stays."""
        async with self._one_at_a_time:
            while self._kept:
                group = [self._kept.popleft() for _ in range(min(LARGEST_GROUP, len(self._kept)))]
                try:
                    await self._add(group)
                except BaseException as error:
                    # whether it was written or not, to write it again changes nothing
                    self._kept.extendleft(reversed(group))
                    if not isinstance(error, Exception):
                        raise
                    self._tell(error)
                    return
                self._is_failing = False

    async def aclose(self) -> None:
        """Write what is kept, unless the database hangs; what is left is lost, and that is told."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait([self._writer])
        try:
            async with asyncio.timeout(CLOSING_TIME):
                await self.flush()
        except TimeoutError:
            pass
        lost = len(self._kept) + self.dropped
        if lost:
            extra = {"action": "refresh_history.lost", "count": lost}
            logger.warning("%d rows of the history of refreshes are lost", lost, extra=extra)

    async def of_account(
        self, account_id: str, *, limit: int, before: float | None = None
    ) -> list[PastRefresh]:
        """Give the last refreshes of an account, the newest first.

        Args:
            account_id: its identifier.
            limit: how many at most.
            before: only earlier ones (seconds since the epoch).

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        query = find_last(account_id, limit=limit, before=before)
        rows = await self._database.look_up(
            lambda connection: connection.execute(query).mappings().all()
        )
        return [PastRefresh(**row) for row in rows]

    async def prune(self, keep: float) -> int:
        """Remove the rows that are too old, or too many for one account.

        Accounts are read first, some at a time, so that writers wait only where there is something
        to remove.

        Args:
            keep: seconds for which rows are kept; 0: for as long as they are not too many.

        Returns:
            From how many accounts rows were removed.
        """
        now = self._now()
        latest, too_old = now + _LATEST, now - keep if keep else float("-inf")
        count, last = 0, ""
        while found := await self._look_up(ENDS, {"last": last, "latest": latest}):
            wanted: list[dict[str, object]] = []
            for one in found:
                up_to = too_old if one.surplus is None else max(too_old, one.surplus)
                if one.oldest is not None and (one.oldest <= up_to or one.newest > latest):
                    wanted.append({"of_account": one.id, "up_to": up_to, "latest": latest})
            if wanted:
                await self._database.transact(partial(_execute, _DELETE, wanted))
            count, last = count + len(wanted), found[-1].id
        return count

    async def _look_up(self, query: Executable, parameters: dict[str, object]) -> list[Row[Any]]:
        return await self._database.look_up(
            lambda connection: list(connection.execute(query, parameters).all())
        )

    async def _add(self, group: list[PastRefresh]) -> None:
        """Write rows; those of accounts that are gone are left out."""
        dialect = sqlite if self._database.is_sqlite else postgresql
        statement = dialect.insert(REFRESHES).on_conflict_do_nothing()
        # in the order in which others lock accounts; see `group_commit`
        rows = sorted((asdict(one) for one in group), key=itemgetter("account_id"))
        try:
            await self._database.transact(partial(_execute, statement, rows))
        except IntegrityError:
            if len(group) > 1:
                for one in group:
                    await self._add([one])

    async def _write_later(self) -> None:
        while self._kept:
            await asyncio.sleep(RETRY_INTERVAL if self._is_failing else INTERVAL)
            await self.flush()

    def _tell(self, error: Exception) -> None:
        """Tell once that rows are kept in memory."""
        if not self._is_failing:
            # of another's error its kind alone: its text may hold what was to be written
            reason = str(error) if isinstance(error, ConnectorError) else type(error).__name__
            extra = {"action": "refresh_history.not_written", "count": len(self._kept)}
            logger.warning("the history of refreshes cannot be written: %s", reason, extra=extra)
        self._is_failing = True


def find_last(account_id: str, *, limit: int, before: float | None = None) -> Select[Any]:
    """Make the query for the last refreshes of an account, the newest first.

    Args:
        account_id: its identifier.
        limit: how many at most.
        before: only earlier ones (seconds since the epoch).
    """
    query = select(REFRESHES).where(REFRESHES.c.account_id == account_id)
    if before is not None:
        query = query.where(REFRESHES.c.at < before)
    return query.order_by(REFRESHES.c.at.desc()).limit(limit)


def _execute(
    statement: Executable, parameters: Sequence[Mapping[str, object]], connection: Connection
) -> None:
    connection.execute(statement, parameters)
