"""Gives access tokens: memory, then the store, then a refresh; see the package's docstring."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from connector.account import Active
from connector.errors import (
    ConnectorError,
    ConsentRequired,
    RegistrationRejected,
    TemporarilyUnavailable,
)
from connector.oauth.token import AccessToken, Freshness
from connector.providers.client import ProviderDirectory
from connector.secret import Secret
from connector.store.accounts import AccountStore
from connector.store.changes import ChangeWatch
from connector.token_source.memory import TokenMemory
from connector.token_source.refresh import Refresh
from connector.token_source.remembered import Remembered, remember
from connector.token_source.verdict import (
    REGISTRATION_PAUSE,
    check_registration,
    consent_required,
)
from connector.token_source.watch import StoreWatch

logger = logging.getLogger(__name__)

#: An account is not refreshed again within a second because a caller wants more life than a fresh
#: token has: such a caller gets the fresh token.
LEAST_SPACING: Final = 1.0
#: Refreshes under way at the end of a process are given this long to commit.
DRAIN_TIME: Final = 35.0

Flight = asyncio.Task[Remembered]


class TokenSource:
    """Gives access tokens of accounts.

    Args:
        accounts: reads them.
        refresh: refreshes them.
        directory: gives the provider's client.
        changes: tells whether the store has changed.
        now: gives seconds since the epoch.
        has_background: this process lives on, so that a stale token can be renewed behind a
            caller; a one-shot process has no background.
        monotonic: gives seconds that never go back.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        refresh: Refresh,
        directory: ProviderDirectory,
        changes: ChangeWatch,
        now: Callable[[], float],
        has_background: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.memory = TokenMemory(now=now, monotonic=monotonic)
        self._accounts = accounts
        self._refresh = refresh
        self._directory = directory
        self._watch = StoreWatch(
            self.memory, accounts=accounts, changes=changes, kept=refresh.settlement.kept
        )
        self._now = now
        self._has_background = has_background
        self._flights: dict[str, Flight] = {}
        self._is_closing = False

    async def get(
        self, name: str, min_ttl: float | None = None, *, is_strict: bool = False
    ) -> AccessToken:
        """Give an access token.

        Args:
            name: of the account.
            min_ttl: the least remaining life (seconds); by default a tenth of the token's
                lifetime, at most 60 s. Where it is longer than a fresh token lives, a fresh token
                is given.
            is_strict: where a refresh fails, raise instead of giving a token that still works but
                has less than ``min_ttl`` left.

        Raises:
            UnknownAccount: there is no such account.
            ConsentRequired: a person must consent (again).
            TemporarilyUnavailable: no token that works can be had now.
            RegistrationRejected: the provider rejects our client registration.
            ConfigurationError: the account's provider is not configured, or its secret is missing.
            VaultSealed: the stored token does not open.
            Refused: the token is of a type that must not be used.
        """
        return (await self.obtain(name, min_ttl, is_strict=is_strict)).token

    async def obtain(
        self, name: str, min_ttl: float | None = None, *, is_strict: bool = False
    ) -> Remembered:
        """Give an access token with what its API needs besides; see `get`."""
        remembered = self.memory.fresh(name, min_ttl)
        if remembered is not None:
            return remembered
        try:
            remembered = await self._read(name)
        except TemporarilyUnavailable as error:
            # whether it was revoked cannot be asked now; it works, as far as is known
            return self._instead(self.memory.get(name), error, min_ttl, is_strict=is_strict)
        now = self._now()
        state = remembered.freshness(now, min_ttl)
        if state is Freshness.FRESH:
            return remembered
        if state is Freshness.STALE:
            if self._has_background and not self._is_closing:
                self._start_flight(name, remembered.generation)
            return remembered
        if self._is_as_fresh_as_can_be(remembered, now):
            return remembered.marked(now, min_ttl)
        try:
            renewed = await self._fly(name, remembered.generation)
        except (TemporarilyUnavailable, RegistrationRejected) as error:
            return self._instead(remembered, error, min_ttl, is_strict=is_strict)
        return renewed.marked(self._now(), min_ttl)

    async def refresh(
        self, name: str, *, rejected: Secret | None = None, ignore_backoff: bool = False
    ) -> AccessToken:
        """Force one refresh, or wait for the one that is under way.

        Args:
            name: of the account.
            rejected: the token that an API has rejected; where the present one is another, that
                is given and nothing is sent (CHECKLIST 72).
            ignore_backoff: a person asks: do not wait out an earlier failure.

        Raises:
            As `get`; a failure is raised though the present token may still work.
        """
        renewed = await self.renew(name, rejected=rejected, ignore_backoff=ignore_backoff)
        return renewed.token

    async def renew(
        self, name: str, *, rejected: Secret | None = None, ignore_backoff: bool = False
    ) -> Remembered:
        """Force one refresh and give the token with what its API needs; see `refresh`."""
        remembered = await self._read(name)
        if rejected is not None and Secret(remembered.token.value) != rejected:
            return remembered
        return await self._fly(
            name,
            remembered.generation,
            ignore_backoff=ignore_backoff,
            is_rejected=rejected is not None,
        )

    def forget(self, name: str) -> None:
        """Forget what memory has of an account that was changed by this process."""
        self.memory.forget(name)

    def start(self) -> None:
        """Begin to watch the store, so that memory may be served from."""
        self._watch.start()

    async def check_store(self) -> None:
        """Compare memory with the store now; `start` has it done twice a second."""
        await self._watch.check()

    async def aclose(self) -> None:
        """Stop watching, start no new refresh, and let those under way commit."""
        self._is_closing = True
        await self._watch.aclose()
        if self._flights:
            await asyncio.wait(self._flights.values(), timeout=DRAIN_TIME)
        with contextlib.suppress(TemporarilyUnavailable):  # then the next start writes it
            await self._refresh.settlement.kept.replay_held()

    async def _read(self, name: str) -> Remembered:
        """Read an account's present token from the store into memory."""
        account = await self._accounts.require(name)
        if not isinstance(account.state, Active):
            self.memory.forget(name)
            raise consent_required(account)
        present = self.memory.get(name)
        if present is not None and present.account_id == account.id:
            if present.generation >= account.generation:
                return present
            self.memory.forget(name)  # replaced elsewhere: not to be served, whatever comes next
        client = await self._directory.get(account.provider)
        check_registration(account, client)
        return self.memory.put(name, remember(account, self._accounts, client.provider))

    def _is_as_fresh_as_can_be(self, remembered: Remembered, now: float) -> bool:
        """Tell whether it was refreshed (not consented) within the last second."""
        return remembered.generation > 1 and 0 <= now - remembered.minted_at < LEAST_SPACING

    def _instead(
        self,
        remembered: Remembered | None,
        error: ConnectorError,
        min_ttl: float | None,
        *,
        is_strict: bool,
    ) -> Remembered:
        """Give a token that still works where no better one can be had; else raise the error."""
        now = self._now()
        if remembered is None or not remembered.is_alive(now):
            raise error
        marked = remembered.marked(now, min_ttl)
        if is_strict and marked.token.is_short:
            raise error
        return marked

    async def _fly(
        self,
        name: str,
        generation: int,
        *,
        ignore_backoff: bool = False,
        is_rejected: bool = False,
    ) -> Remembered:
        """Wait for the one refresh of an account; a caller that gives up does not cancel it."""
        flight = self._start_flight(
            name, generation, ignore_backoff=ignore_backoff, is_rejected=is_rejected
        )
        return await asyncio.shield(flight)

    def _start_flight(
        self,
        name: str,
        generation: int,
        *,
        ignore_backoff: bool = False,
        is_rejected: bool = False,
    ) -> Flight:
        flight = self._flights.get(name)
        if flight is not None:
            return flight
        if self._is_closing:
            raise TemporarilyUnavailable("this process is shutting down")
        refreshed = self._refreshed(
            name, generation, ignore_backoff=ignore_backoff, is_rejected=is_rejected
        )
        flight = asyncio.create_task(refreshed, name=f"refresh {name}")
        self._flights[name] = flight
        flight.add_done_callback(lambda done: self._land(name, generation, done))
        return flight

    async def _refreshed(
        self,
        name: str,
        generation: int,
        *,
        ignore_backoff: bool,
        is_rejected: bool,
    ) -> Remembered:
        account = await self._refresh.run(
            name, generation, ignore_backoff=ignore_backoff, is_rejected=is_rejected
        )
        provider = self._directory.providers[account.provider]
        return self.memory.put(name, remember(account, self._accounts, provider))

    def _land(self, name: str, generation: int, flight: Flight) -> None:
        """Take a finished flight off the list; its error was logged where it happened."""
        del self._flights[name]
        error = None if flight.cancelled() else flight.exception()
        if isinstance(error, ConsentRequired):
            self.memory.forget(name)
        elif isinstance(error, RegistrationRejected):
            self._keep_quiet(name, generation, self._now() + REGISTRATION_PAUSE)
        elif isinstance(error, TemporarilyUnavailable):
            until = error.retry_at or error.valid_until
            if until is not None:
                self._keep_quiet(name, generation, until.timestamp())
        elif error is not None and not isinstance(error, ConnectorError):
            logger.error("a refresh failed by a bug", exc_info=error, extra={"account": name})

    def _keep_quiet(self, name: str, generation: int, until: float) -> None:
        """Serve a stale token as if it were fresh until the provider may be asked again."""
        stale = self.memory.get(name)
        if stale is not None and stale.generation == generation:
            self.memory.put(name, stale.kept_quiet(until))
