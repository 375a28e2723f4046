"""Keeps memory in agreement with the store: asks it twice a second, forgets what was changed."""

import asyncio
import contextlib
import logging
from typing import Final

from connector.errors import ConnectorError
from connector.store.accounts import AccountStore
from connector.store.changes import ChangeWatch
from connector.store.due import DueStore, Used
from connector.token_source.kept_answers import KeptAnswers
from connector.token_source.memory import STALENESS_BOUND, TokenMemory

logger = logging.getLogger(__name__)

#: How often memory is compared with the store; four times within the staleness bound.
WATCH_INTERVAL: Final = 0.5


class StoreWatch:
    """Compares one memory with the store.

    Args:
        memory: what is compared.
        accounts: reads generations.
        changes: tells whether the store has changed.
        kept: may hold tokens that are newer than the store's.
        due: is told which tokens are used, and are therefore to be renewed ahead.
    """

    def __init__(
        self,
        memory: TokenMemory,
        *,
        accounts: AccountStore,
        changes: ChangeWatch,
        kept: KeptAnswers,
        due: DueStore,
    ) -> None:
        self._due = due
        self._kept = kept
        self._memory = memory
        self._accounts = accounts
        self._changes = changes
        self._task: asyncio.Task[None] | None = None
        self._is_store_away = False
        self._is_over = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()  # two would each open a connection to ask with

    def start(self) -> None:
        """Begin to watch."""
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="token memory watch")

    async def aclose(self) -> None:
        """Stop watching; a question under way is let end, unless the database hangs."""
        if self._task is not None:
            self._is_over.set()
            await asyncio.wait({self._task}, timeout=STALENESS_BOUND)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def check(self) -> None:
        """Compare once, and confirm what agrees; a store that is away is told of once."""
        async with self._one_at_a_time:
            await self._check()

    async def _check(self) -> None:
        asked_at = self._memory.moment()
        try:
            await self._changes.has_changed()
            changed = self._changes.take_accounts()
            self._forget_accounts(await self._kept.replay_held())
            names = set(self._memory.take_unverified())
            names.update(self._memory.names() if changed is None else changed)
            await self._forget_changed([name for name in names if self._memory.get(name)])
        except ConnectorError as error:
            self._memory.doubt()
            if not self._is_store_away:
                extra = {"action": "store.away"}
                logger.warning("the store cannot be asked: %s", error, extra=extra)
            self._is_store_away = True
            return
        self._is_store_away = False
        self._memory.confirm(asked_at)
        await self._note_used()

    async def _watch(self) -> None:
        try:
            await self._kept.adopt()
        except ConnectorError as error:
            logger.warning(str(error), extra={"action": "journal.away"})
        while not self._is_over.is_set():
            try:
                await self.check()
            except Exception:  # a watch that ends would send every call to the store for good
                self._memory.doubt()
                logger.exception(
                    "watching the store failed by a bug", extra={"action": "store.bug"}
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_over.wait(), WATCH_INTERVAL)

    async def _note_used(self) -> None:
        """Write down, once for each mint, that somebody wants the token."""
        used = [
            Used(
                account_id=remembered.account_id,
                generation=remembered.generation,
                renew_at=remembered.renew_at,
            )
            for remembered in self._memory.take_used()
        ]
        if used:
            try:
                await self._due.note_used(used)
            except ConnectorError as error:
                self._memory.forget_noted()
                logger.warning(str(error), extra={"action": "use.not_noted"})

    def _forget_accounts(self, identifiers: list[str]) -> None:
        for name in self._memory.names() if identifiers else ():
            remembered = self._memory.get(name)
            if remembered and remembered.account_id in identifiers:
                self._memory.forget(name)

    async def _forget_changed(self, names: list[str]) -> None:
        if not names:
            return
        versions = await self._accounts.versions(names)
        for name in names:
            remembered = self._memory.get(name)
            if remembered is None or self._memory.is_unverified(name):
                continue  # it came after the question; the next one is about it
            found = versions.get(name)
            # the identifier too: names are given to other accounts (rename, forget and connect)
            if found == (remembered.account_id, remembered.generation, "active"):
                continue
            if found and found[0] == remembered.account_id and found[1] < remembered.generation:
                self._tell_of_return(name, found[1], remembered.generation)
            self._memory.forget(name)

    def _tell_of_return(self, name: str, generation: int, known: int) -> None:
        """Tell that the database has forgotten tokens: a backup, or a standby that lagged."""
        logger.error(
            "the database has gone back: account %s had its tokens written %d times and now %d"
            " times; where its provider rotates refresh tokens, a new consent may be needed",
            name,
            known,
            generation,
            extra={"action": "store.went_back", "account": name, "generation": generation},
        )
