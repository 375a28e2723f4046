"""Tells whether anything in the database has changed since it was last asked, and wakes who waits.

SQLite counts commits and notes accounts (see `data_version`); Postgres tells of every account that
has changed (see `notifications`). Where neither can be had the answer is "perhaps", never "no".
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from connector.store.data_version import DataVersion
from connector.store.database import Database
from connector.store.noticed import NoticedChanges

if TYPE_CHECKING:
    from connector.store.notifications import Notifications

#: The count of a moment when nobody counted: whoever waits since then is told to look at once.
UNCOUNTED: Final = -1
#: Who waits where changes cannot be heard looks for itself this often, in seconds: an answer comes
#: a tenth of a second late in the mean, and a hundred waiting accounts cost 500 reads a second.
DEAF_WAIT: Final = 0.2


class ChangeWatch:
    """Watches one database, for one event loop.

    Args:
        database: which one.

    Attributes:
        waits: how often a change was waited for.
        waited: for how many seconds in all.
    """

    def __init__(self, database: Database) -> None:
        self.waits = 0
        self.waited = 0.0
        self._changes = NoticedChanges()
        self._source = _source(database, self._changes)
        self._asked = UNCOUNTED

    @property
    def count(self) -> int:
        """Give how many changes were noticed; taken before reading, it is what `wait` is given."""
        return self._changes.count

    async def has_changed(self) -> bool:
        """Tell whether something may have changed since the last call; True at first.

        What was committed, and the commit confirmed, before the call is seen by it.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        await self._source.look()
        before, self._asked = self._asked, self._changes.count
        return self._asked != before

    def take_accounts(self) -> set[str] | None:
        """Give the names of accounts that have changed since the last call; None: any may have.

        It tells of what `has_changed` has seen.
        """
        return self._changes.take_accounts()

    async def wait(
        self,
        timeout: float,  # noqa: ASYNC109 - to wait no longer is no failure
        *,
        account: str | None = None,
        since: int | None = None,
    ) -> None:
        """Wait until something has changed, or may have; any number of tasks may wait at once.

        Args:
            timeout: how long to wait at most (seconds).
            account: wait for this one only, where the database tells which has changed.
            since: the `count` since which a change counts; by default that of now.
        """
        began_at = asyncio.get_running_loop().time()
        count = self._changes.count if since is None else since
        with self._source.attended():
            longest = min(timeout, DEAF_WAIT) if self._source.is_deaf else timeout
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(longest):
                    await self._changes.wait(count, account)
        self.waits += 1
        self.waited += asyncio.get_running_loop().time() - began_at

    async def heard(
        self,
        timeout: float,  # noqa: ASYNC109 - to wait no longer is no failure
        *,
        since: int,
    ) -> None:
        """Wait as `wait` does, but ask nothing for it: until somebody else has heard of a change.

        Args:
            timeout: how long to wait at most (seconds).
            since: the `count` since which a change counts.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changes.wait(since)

    async def aclose(self) -> None:
        """Give the connection back; who waits is told of nothing any more."""
        await self._source.aclose()


def _source(database: Database, changes: NoticedChanges) -> "DataVersion | Notifications":
    if database.is_sqlite:
        return DataVersion(database, changes)
    from connector.store.notifications import Notifications  # the driver is an extra

    return Notifications(database, changes)
