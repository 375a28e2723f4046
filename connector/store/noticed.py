"""The changes of a database that this process has noticed, counted, and who waits for the next one.

The count before something is read is what `wait` takes, so that no change between the reading and
the waiting is missed. Which accounts have changed is kept until it is asked for. For one event
loop; it asks no database and reads no clock.
"""

import asyncio


class NoticedChanges:
    """Counts changes and wakes who waits for them.

    Attributes:
        count: how many were noticed so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._anything = 0
        self._accounts: dict[str, int] = {}  # by name; one number for each
        self._noted = asyncio.Event()
        self._unasked: set[str] | None = None

    def note(self, account: str | None = None) -> None:
        """Say that an account has changed; None: anything may have."""
        if account is None:
            self._unasked = None
            self.stir()
            return
        if self._unasked is not None:
            self._unasked.add(account)
        self.count += 1
        self._accounts[account] = self.count
        self._wake()

    def stir(self) -> None:
        """Say that something has changed which is of no account's tokens: wake all who wait."""
        self.count += 1
        self._anything = self.count
        self._accounts.clear()
        self._wake()

    def take_accounts(self) -> set[str] | None:
        """Give the accounts that have changed since the last call; None: any may have."""
        taken, self._unasked = self._unasked, set()
        return taken

    def has_changed(self, since: int, account: str | None = None) -> bool:
        """Tell whether something has changed since a count; with ``account``, whether that has."""
        if account is None:
            return self.count > since
        return max(self._anything, self._accounts.get(account, 0)) > since

    def _wake(self) -> None:
        noted, self._noted = self._noted, asyncio.Event()
        noted.set()

    async def wait(self, since: int, account: str | None = None) -> None:
        """Wait until `has_changed`; it may be cancelled."""
        while not self.has_changed(since, account):
            await self._noted.wait()
