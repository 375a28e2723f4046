"""Asks the seal of an open vault again and again: a key held in memory is good for some time only.

For a seal whose key is elsewhere, and can be withdrawn there. While it does not answer, the open
vault serves; once it has not for ``vault.seal_max_age``, the vault counts as sealed (CHECKLIST
130). A database that is away says nothing of the seal: it is asked about what was read last. So it
is where the vault was moved to another seal meanwhile, which is the next start's business.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from connector.duration import format_duration
from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.store.database import Database
from connector.store.stored_keys import StoredKeys, ask_seal, open_keys
from connector.store.vault_seals import require_keys
from connector.vault.seal import Seal

logger = logging.getLogger(__name__)

#: It is asked so often within the maximum age that one failure does not count.
CHECKS: Final = 4
#: Seconds. More often than that it need not be asked, nor be waited for so long.
LONGEST_PAUSE: Final = 300.0
TIME_LIMIT: Final = 30.0


class SealWatch:
    """Watches over the seal of an open vault.

    Args:
        database: of the vault.
        seal: that opened it.
        max_age: seconds for which its last answer is good.
        now: gives seconds of a clock that is never set.
        sleep: waits some seconds.
    """

    def __init__(
        self,
        database: Database,
        seal: Seal,
        *,
        max_age: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._seal = seal
        self._max_age = max_age
        self._now = now
        self._sleep = sleep
        self._keys: StoredKeys | None = None

    async def run(self) -> VaultSealed:
        """Ask until the last answer is too old, and give the reason; the vault is open now."""
        answered_at, is_failing = self._now(), False
        with contextlib.suppress(TemporarilyUnavailable, VaultSealed):
            self._keys = await require_keys(self._database)
        while True:
            await self._sleep(min(self._max_age / CHECKS, LONGEST_PAUSE))
            failure = await self._failure()
            if failure is None:
                if is_failing:
                    logger.info("the seal answers again", extra={"action": "seal.back"})
                answered_at, is_failing = self._now(), False
                continue
            left = answered_at + self._max_age - self._now()
            if left <= 0:
                return failure
            if not is_failing:
                logger.warning(
                    "the seal does not open the vault any more; it is served for %s without it: %s",
                    format_duration(left),
                    failure.reason,
                    extra={"action": "seal.silent"},
                )
            is_failing = True

    async def _failure(self) -> VaultSealed | None:
        """Ask once; None where the seal opens the vault."""
        try:
            present = await require_keys(self._database)
            if self._keys is None or self._is_sealed_with_it(present):
                self._keys = present
        except TemporarilyUnavailable:
            if self._keys is None:
                return None
        except VaultSealed as error:
            return error
        keys = self._keys
        try:
            async with asyncio.timeout(TIME_LIMIT):
                await ask_seal(lambda: open_keys(keys, self._seal))
        except VaultSealed as error:
            return error
        except TimeoutError:
            return VaultSealed(f"{self._seal.description} did not answer within {TIME_LIMIT:g} s")
        except Exception as error:  # noqa: BLE001 - a seal of somebody else's raises what it likes
            return VaultSealed(f"{self._seal.description} failed ({type(error).__name__})")
        return None

    def _is_sealed_with_it(self, keys: StoredKeys) -> bool:
        """Tell whether the seal still opens the vault, as far as its rows say."""
        return self._seal.description in {stored.description for stored in keys.seals}
