"""Gives access tokens: memory, then the store, then a refresh; see the package's docstring."""

import contextlib
import logging
from collections.abc import Callable, Collection
from typing import Final

from connector.account import Account
from connector.errors import (
    ConnectorError,
    RegistrationRejected,
    TemporarilyUnavailable,
)
from connector.oauth.token import AccessToken, Freshness
from connector.providers.client import ProviderDirectory
from connector.secret import Secret
from connector.store.accounts import AccountStore
from connector.token_source.flights import Flights, Wish
from connector.token_source.memory import TokenMemory
from connector.token_source.reader import Reader
from connector.token_source.refresh import Refresh
from connector.token_source.remembered import Remembered
from connector.token_source.watch import StoreWatch

logger = logging.getLogger(__name__)

#: An account is not refreshed again within a second because a caller wants more life than a fresh
#: token has: such a caller gets the fresh token.
LEAST_SPACING: Final = 1.0


class TokenSource:
    """Gives access tokens of accounts.

    Args:
        memory: of this process.
        watch: keeps it in agreement with the store.
        accounts: reads accounts.
        refresh: refreshes them.
        directory: gives the provider's client.
        now: gives seconds since the epoch.
        has_background: this process lives on, so that a stale token can be renewed behind a
            caller; a one-shot process has no background.

    Attributes:
        memory: as given.
    """

    def __init__(
        self,
        memory: TokenMemory,
        watch: StoreWatch,
        *,
        accounts: AccountStore,
        refresh: Refresh,
        directory: ProviderDirectory,
        now: Callable[[], float],
        has_background: bool,
    ) -> None:
        self.memory = memory
        self._watch = watch
        self._refresh = refresh
        self._now = now
        self._has_background = has_background
        self._flights = Flights(
            self.memory, accounts=accounts, refresh=refresh, directory=directory, now=now
        )
        self._reader = Reader(self.memory, accounts=accounts, directory=directory, now=now)

    @property
    def flights(self) -> Flights:
        """The refreshes under way."""
        return self._flights

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
            ValueError: ``min_ttl`` is no number of seconds.
        """
        return (await self.obtain(name, min_ttl, is_strict=is_strict)).token

    async def obtain(
        self, name: str, min_ttl: float | None = None, *, is_strict: bool = False
    ) -> Remembered:
        """Give an access token with what its API needs besides; see `get`."""
        remembered = self.memory.fresh(name, min_ttl)
        if remembered is not None:
            return remembered
        if min_ttl is not None and not min_ttl >= 0:  # NaN is neither
            raise ValueError(f"min_ttl is a number of seconds, not {min_ttl!r}")
        try:
            remembered = await self._reader.read_in_time(name)
        except TemporarilyUnavailable as error:
            # whether it was revoked cannot be asked now; it works, as far as is known
            return self._instead(self.memory.get(name), error, min_ttl, is_strict=is_strict)
        self.memory.note_use(name)
        now = self._now()
        state = remembered.freshness(now, min_ttl)
        if state is Freshness.FRESH:
            return remembered
        if state is Freshness.STALE:
            if self._has_background and not self._flights.is_closing:
                self._flights.start(Wish(name=name, generation=remembered.generation))
            return remembered
        if self._is_as_fresh_as_can_be(remembered, now):
            return remembered.marked(now, min_ttl)
        try:
            renewed = await self._renewed(remembered, name, is_strict=is_strict)
        except (TemporarilyUnavailable, RegistrationRejected) as error:
            return self._instead(remembered, error, min_ttl, is_strict=is_strict)
        return renewed.marked(self._now(), min_ttl)

    async def refresh(
        self, name: str, *, rejected: Secret | None = None, ignore_backoff: bool = False
    ) -> AccessToken:
        """Force one refresh, or wait for the one that is under way.

        Args:
            name: of the account.
            rejected: the token that an API has rejected; where the present one is another, or was
                minted just now, that is given and nothing is sent (CHECKLIST 72).
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
        remembered = await self._reader.read(name)
        if rejected is not None and (
            Secret(remembered.token.value) != rejected or remembered.is_just_minted(self._now())
        ):
            return remembered
        wish = Wish(
            name=name,
            generation=remembered.generation,
            ignore_backoff=ignore_backoff,
            is_rejected=rejected is not None,
        )
        return await self._flights.fly(wish)

    async def refresh_due(self, account: Account) -> None:
        """Refresh an account ahead of need; memory learns of it where it has its token already.

        Args:
            account: as it was found due.

        Raises:
            As `refresh`.
        """
        wish = Wish(
            name=account.name, generation=account.generation, is_wanted=False, known=account
        )
        await self._flights.fly(wish)

    def forget(self, name: str) -> None:
        """Forget what memory has of an account that was changed by this process."""
        self.memory.forget(name)

    def forget_providers(self, providers: Collection[str]) -> None:
        """Forget all tokens of some providers: they are other ones now."""
        for name in self.memory.names():
            remembered = self.memory.get(name)
            if remembered is not None and remembered.provider in providers:
                self.memory.forget(name)

    def start(self) -> None:
        """Begin to watch the store, so that memory may be served from."""
        self._watch.start()

    async def check_store(self) -> None:
        """Compare memory with the store now; `start` has it done twice a second."""
        await self._watch.check()

    async def aclose(self) -> None:
        """Stop watching, start no new refresh, and let those under way commit."""
        self._flights.close()
        await self._watch.aclose()
        await self._reader.aclose()
        await self._flights.drain()
        with contextlib.suppress(TemporarilyUnavailable):  # then the next start writes it
            await self._refresh.settlement.kept.replay_held()

    async def _renewed(self, remembered: Remembered, name: str, *, is_strict: bool) -> Remembered:
        """Wait for a refresh, but not for long while there is a token that works: then give that.

        Raises:
            As `refresh`.
        """
        wish = Wish(name=name, generation=remembered.generation)
        patience = None if is_strict else remembered.patience(self._now())
        if patience is not None:
            renewed = await self._flights.fly_for(wish, patience)
            if renewed is not None:
                return renewed
            if remembered.is_alive(self._now()):  # else a busy machine has slept over its end
                return remembered
        return await self._flights.fly(wish)

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
