"""Reads present tokens from the store into memory; not for long where memory has one that works."""

import asyncio
from collections.abc import Callable
from typing import Final

from connector.account import Active
from connector.errors import TemporarilyUnavailable
from connector.providers.client import ProviderDirectory
from connector.store.accounts import AccountStore
from connector.token_source.memory import TokenMemory
from connector.token_source.remembered import Remembered, remember
from connector.token_source.verdict import check_registration, consent_required

#: While memory has a token that works, the database is waited for so long; it may hang.
READING_PATIENCE: Final = 1.0
#: Whoever comes while another one waits in vain does not wait as long again.
LATER_PATIENCE: Final = 0.1


class Reader:
    """Reads tokens.

    Args:
        memory: where they are put.
        accounts: reads accounts and opens their tokens.
        directory: gives the provider's client.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        memory: TokenMemory,
        *,
        accounts: AccountStore,
        directory: ProviderDirectory,
        now: Callable[[], float],
    ) -> None:
        self._memory = memory
        self._accounts = accounts
        self._directory = directory
        self._now = now
        self._reads: dict[str, asyncio.Task[Remembered]] = {}

    async def read(self, name: str) -> Remembered:
        """Read an account's present token from the store into memory; many callers, one reading.

        Raises:
            UnknownAccount: there is no such account.
            ConsentRequired: a person must consent (again).
            TemporarilyUnavailable: the store cannot be had.
            ConfigurationError: its provider is not configured.
            VaultSealed: the token does not open.
            Refused: it is of a type that must not be used.
        """
        return await asyncio.shield(self._reading(name))

    async def read_in_time(self, name: str) -> Remembered:
        """Read, but wait for the store only a moment where memory has a token that works.

        Raises:
            TemporarilyUnavailable: it takes too long; the reading goes on behind.
            Otherwise as `read`.
        """
        present = self._memory.get(name)
        if present is None or not present.is_alive(self._now()):
            return await self.read(name)
        patience = READING_PATIENCE if name not in self._reads else LATER_PATIENCE
        reading = self._reading(name)
        await asyncio.wait({reading}, timeout=patience)
        if reading.done():
            return reading.result()
        present = self._memory.get(name)  # it may have been replaced elsewhere meanwhile, or ended
        if present is not None and present.is_alive(self._now() + READING_PATIENCE / 10):
            raise TemporarilyUnavailable("the database does not answer")
        return await asyncio.shield(reading)

    async def aclose(self) -> None:
        """Let the readings under way end, unless the database hangs."""
        readings = list(self._reads.values())
        if readings:
            await asyncio.wait(readings, timeout=READING_PATIENCE)
        for reading in readings:
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)

    def _reading(self, name: str) -> asyncio.Task[Remembered]:
        """Give the reading under way, or begin one: a thousand callers need one connection."""
        reading = self._reads.get(name)
        if reading is None:
            reading = asyncio.create_task(self._read(name), name=f"read {name}")
            self._reads[name] = reading
            reading.add_done_callback(lambda done: self._end(name, done))
        return reading

    async def _read(self, name: str) -> Remembered:
        account = await self._accounts.require(name)
        if not isinstance(account.state, Active):
            self._memory.forget(name)
            raise consent_required(account)
        present = self._memory.get(name)
        if present is not None and present.account_id == account.id:
            if present.generation >= account.generation:
                return present
            self._memory.forget(name)  # replaced elsewhere: not to be served, whatever comes next
        provider, fingerprint = await self._directory.known(account.provider)
        check_registration(account, fingerprint)
        return self._memory.put(name, remember(account, self._accounts, provider))

    def _end(self, name: str, reading: asyncio.Task[Remembered]) -> None:
        del self._reads[name]
        if not reading.cancelled():
            reading.exception()  # whoever still waits for it is told
