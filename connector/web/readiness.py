"""Whether this daemon should be sent calls: ``/readyz``, cheap enough to be asked each second.

Alive (``/healthz``) is another matter: a daemon whose database is away serves what it has in
memory, and to restart it would take that from those who ask.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from connector.errors import ConnectorError
from connector.web.problems import problem

#: The store is asked no more often, however many want to know (seconds).
FRESH: Final = 0.5
#: A store that needs longer is not what a caller wants to wait for (seconds).
PATIENCE: Final = 1.0
#: When it is worth asking again (seconds).
RETRY_AFTER: Final = 2


class Readiness:
    """Knows what a daemon needs to be ready.

    Args:
        check_store: comes back where the store can be asked.

    Attributes:
        is_stopping: nothing new is to be sent here.
    """

    def __init__(self, check_store: Callable[[], Awaitable[None]]) -> None:
        self.is_stopping = False
        self._check_store = check_store
        self._parts: dict[str, Callable[[], bool]] = {}
        self._asking: asyncio.Task[bool] | None = None
        self._asked_at = float("-inf")

    def watch(self, name: str, is_well: Callable[[], bool]) -> None:
        """Have a part of the daemon looked at.

        Args:
            name: as it is told.
            is_well: it runs, and is not stuck.
        """
        self._parts[name] = is_well

    async def missing(self) -> list[str]:
        """Name what is not ready."""
        found = ["stopping"] if self.is_stopping else []
        if not await self._is_store_there():
            found.append("store")
        return found + [name for name, is_well in self._parts.items() if not is_well()]

    async def answer(self, _request: Request) -> Response:
        """Answer 200, or a problem document that names what is not ready."""
        missing = await self.missing()
        if not missing:
            return PlainTextResponse("ready\n", headers={"Cache-Control": "no-store"})
        return problem(
            503,
            "not-ready",
            f"not ready: {', '.join(missing)}",
            headers={"Retry-After": str(RETRY_AFTER)},
            members={"not_ready": missing},
        )

    async def _is_store_there(self) -> bool:
        """Ask the store, together with whoever else wants to know."""
        now = asyncio.get_running_loop().time()
        is_over = self._asking is None or self._asking.done()
        if self._asking is None or (is_over and now - self._asked_at > FRESH):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask(), name="readiness of the store")
        patience = max(0.0, self._asked_at + PATIENCE - now)
        done, _ = await asyncio.wait({self._asking}, timeout=patience)
        return bool(done) and self._asking.result()

    async def _ask(self) -> bool:
        try:
            await self._check_store()
        except ConnectorError:
            return False
        return True
