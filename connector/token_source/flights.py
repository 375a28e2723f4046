"""One refresh of an account at a time in this process, however many want it.

A flight belongs to nobody: who gives up leaves it flying, who comes late joins it, and all get the
one result or the one error. At the end of the process none starts, and those under way may commit.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from connector.account import Account
from connector.errors import (
    ConnectorError,
    ConsentRequired,
    RegistrationRejected,
    TemporarilyUnavailable,
)
from connector.providers.client import ProviderDirectory
from connector.store.accounts import AccountStore
from connector.token_source.memory import TokenMemory
from connector.token_source.refresh import Refresh
from connector.token_source.remembered import Remembered, remember
from connector.token_source.verdict import REGISTRATION_PAUSE, check_registration

logger = logging.getLogger(__name__)

#: Refreshes under way at the end of a process are given this long to commit.
DRAIN_TIME: Final = 35.0

Flight = asyncio.Task[Remembered]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A refresh that somebody wants; it joins one that is under way, whatever that one is for.

    Attributes:
        name: of the account.
        generation: that was seen; newer tokens are as good as a refresh.
        ignore_backoff: a person asks: do not wait out an earlier failure.
        is_rejected: the API has rejected the present access token.
        known: the account as it was read a moment ago, where it was.
        is_wanted: somebody waits for the token; else memory learns of it only where it has one.
    """

    name: str
    generation: int
    ignore_backoff: bool = False
    is_rejected: bool = False
    is_wanted: bool = True
    known: Account | None = None


class Flights:
    """The refreshes under way in this process.

    Args:
        memory: where their tokens go.
        accounts: opens tokens.
        refresh: refreshes.
        directory: knows the providers.
        now: gives seconds since the epoch.

    Attributes:
        is_closing: none is started any more.
        started: how many there have been.
        joined: how often one was found under way by who would have started it.
    """

    def __init__(
        self,
        memory: TokenMemory,
        *,
        accounts: AccountStore,
        refresh: Refresh,
        directory: ProviderDirectory,
        now: Callable[[], float],
    ) -> None:
        self.is_closing = False
        self.started = 0
        self.joined = 0
        self._memory = memory
        self._accounts = accounts
        self._refresh = refresh
        self._directory = directory
        self._now = now
        self._flights: dict[str, Flight] = {}

    async def fly(self, wish: Wish) -> Remembered:
        """Wait for the one refresh of an account; a caller that gives up does not cancel it.

        Raises:
            As `Refresh.run`.
        """
        return await asyncio.shield(self.start(wish))

    async def fly_for(self, wish: Wish, seconds: float) -> Remembered | None:
        """Wait for the one refresh of an account for a while; None: it goes on behind.

        Raises:
            As `Refresh.run`.
        """
        flight = self.start(wish)
        await asyncio.wait({flight}, timeout=seconds)
        return flight.result() if flight.done() else None

    def start(self, wish: Wish) -> Flight:
        """Start a refresh, or give the one that is under way.

        Raises:
            TemporarilyUnavailable: this process is ending.
        """
        self.joined += wish.name in self._flights
        flight = self._flights.get(wish.name)
        if flight is not None:
            return flight
        if self.is_closing:
            raise TemporarilyUnavailable("this process is shutting down")
        flight = asyncio.create_task(self._refreshed(wish), name=f"refresh {wish.name}")
        self._flights[wish.name] = flight
        self.started += 1
        flight.add_done_callback(lambda done: self._land(wish, done))
        return flight

    def under_way(self) -> Collection[Flight]:
        """Give the refreshes under way."""
        return self._flights.values()

    def close(self) -> None:
        """Start no new one."""
        self.is_closing = True

    async def drain(self) -> None:
        """Let those under way commit."""
        if self._flights:
            await asyncio.wait(self._flights.values(), timeout=DRAIN_TIME)

    async def _refreshed(self, wish: Wish) -> Remembered:
        account = await self._refresh.run(
            wish.name,
            wish.generation,
            ignore_backoff=wish.ignore_backoff,
            is_rejected=wish.is_rejected,
            known=wish.known,
        )
        provider, fingerprint = await self._directory.known(account.provider)
        check_registration(account, fingerprint)  # another may be in force by now
        remembered = remember(account, self._accounts, provider)
        if not wish.is_wanted and self._memory.get(wish.name) is None:
            return remembered
        return self._memory.put(wish.name, remembered)

    def _land(self, wish: Wish, flight: Flight) -> None:
        """Take a finished flight off the list; its error was logged where it happened."""
        del self._flights[wish.name]
        error = None if flight.cancelled() else flight.exception()
        if isinstance(error, ConsentRequired):
            self._memory.forget(wish.name)
        elif isinstance(error, RegistrationRejected):
            self._keep_quiet(wish, self._now() + REGISTRATION_PAUSE)
        elif isinstance(error, TemporarilyUnavailable):
            until = error.retry_at or error.valid_until
            if until is not None:
                self._keep_quiet(wish, until.timestamp())
        elif error is not None and not isinstance(error, ConnectorError):
            extra = {"action": "refresh.bug", "account": wish.name}
            logger.error("a refresh failed by a bug", exc_info=error, extra=extra)

    def _keep_quiet(self, wish: Wish, until: float) -> None:
        """Serve a stale token as if it were fresh until the provider may be asked again."""
        stale = self._memory.get(wish.name)
        if stale is not None and stale.generation == wish.generation:
            self._memory.put(wish.name, stale.kept_quiet(until))
