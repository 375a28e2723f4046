"""The API keys as the daemon knows them: in memory, compared with the store about once a second.

A call costs no question to the database. A key that was revoked stops working within two seconds;
one that was just made works at once, since an unknown identifier has the store asked (five times a
second at most, whoever tries them out). While the store cannot be asked, keys go on as tokens do.
When a key was used is written once a minute.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from connector.api_key import ApiKey, is_secret_of, parse_key
from connector.errors import ConnectorError, TemporarilyUnavailable
from connector.store.api_keys import ApiKeyStore

logger = logging.getLogger(__name__)

#: What is older is compared with the store in the background (seconds) …
FRESH: Final = 1.0
#: … and what is older than this, before an answer.
STALE: Final = 2.0
#: Identifiers that are not known have the store asked no more often (seconds).
GAP: Final = 0.2
#: How long an answer waits for the store, which may be away (seconds).
PATIENCE: Final = 1.0
#: How often it is written when keys were used (seconds).
NOTING: Final = 60.0


class KnownKeys:
    """Finds the key that a caller presents.

    Args:
        store: where the keys are.
        now: gives seconds since the epoch.
        clock: gives seconds that never go back; by default the event loop's.
    """

    def __init__(
        self,
        store: ApiKeyStore,
        *,
        now: Callable[[], float],
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._store = store
        self._now = now
        self._clock = clock
        self._keys: dict[str, ApiKey] | None = None
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None
        self._used: dict[str, float] = {}
        self._noted_at = float("-inf")
        self._is_away = False

    async def find(self, text: str, *, may_wait: bool = True) -> ApiKey | None:
        """Give the key that a text is, if it is good.

        Args:
            text: as the caller presents it.
            may_wait: an identifier that is not known has the answer wait for the store.

        Raises:
            TemporarilyUnavailable: the keys could not be read yet.
        """
        parsed = parse_key(text)
        if parsed is None:
            return None
        identifier, secret = parsed
        age = self._moment() - self._asked_at
        if self._keys is None or age > STALE:
            await self._wait()
        elif identifier not in self._keys and may_wait:
            await asyncio.sleep(max(0.0, GAP - age))
            await self._wait()
        elif age > FRESH:
            self._ask()
        if self._keys is None:
            raise TemporarilyUnavailable("the API keys cannot be read")
        key = self._keys.get(identifier)
        if not is_secret_of(key, secret):
            return None
        assert key is not None  # noqa: S101 - `is_secret_of` has looked
        if not key.is_good(self._now()):
            return None
        self._used[identifier] = self._now()
        return key

    async def aclose(self) -> None:
        """Write down what was used, and stop."""
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=PATIENCE)
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        if self._used and not self._is_away:
            await self._note_used()

    async def _wait(self) -> None:
        """Compare with the store, and wait for it a little."""
        self._ask()
        assert self._asking is not None  # noqa: S101 - it was begun just now
        await asyncio.wait({self._asking}, timeout=PATIENCE)

    def _ask(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._compare(), name="api keys")

    async def _compare(self) -> None:
        asked_at = self._moment()
        try:
            keys = await self._store.all()
        except ConnectorError as error:
            if not self._is_away:
                logger.warning("%s", error, extra={"action": "keys.away"})
            self._is_away = True
            return
        self._is_away = False
        self._keys = {key.id: key for key in keys}
        self._asked_at = asked_at
        if self._used and asked_at - self._noted_at > NOTING:
            self._noted_at = asked_at
            await self._note_used()

    async def _note_used(self) -> None:
        used, self._used = self._used, {}
        try:
            await self._store.note_used(used)
        except ConnectorError as error:
            self._used = used | self._used
            logger.warning("%s", error, extra={"action": "keys.use_not_noted"})

    def _moment(self) -> float:
        return (self._clock or asyncio.get_running_loop().time)()
