"""What people must be told, for this process: looks for it, and gives it in words."""

import asyncio
from collections.abc import Callable
from typing import Final

from connector.notice import Event, Notice
from connector.notices.causes import open_causes
from connector.notices.local import LocalNotices
from connector.notices.plan import Plan, plan
from connector.notices.wording import Message, compose
from connector.settings import Settings
from connector.store.changes import ChangeWatch
from connector.store.notice_facts import NoticeFacts
from connector.store.notices import NoticeStore

#: Of what is over so many are shown.
_MOST_SHOWN: Final = 200


class NoticeDesk:
    """Keeps the records of notices in agreement with what the store says.

    Args:
        store: of the records.
        facts: looks for what calls for notices.
        changes: of the database.
        settings: the configuration.
        now: gives seconds since the epoch.

    Attributes:
        store: as given.
        changes: as given.
        local: records of what concerns this host.
        address: of the daemon, for links.
    """

    def __init__(
        self,
        store: NoticeStore,
        facts: NoticeFacts,
        *,
        changes: ChangeWatch,
        settings: Settings,
        now: Callable[[], float],
    ) -> None:
        self.store = store
        self.changes = changes
        self.local = LocalNotices(settings.vault.journal, reminders=())
        self._facts = facts
        self._now = now
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Put another configuration in force."""
        self.address = settings.daemon.address
        self._reminders = self.local.reminders = settings.notify.reminders
        self._facts.providers = settings.providers
        self._facts.jobs = settings.jobs
        self._idle = {
            name
            for name, provider in settings.providers.items()
            if provider.lifetimes.idle is not None and provider.lifetimes.consent is None
        }

    async def look(self) -> None:
        """Write down what there is to tell now, as far as nobody else has.

        Any process may do so at any time: it changes nothing where nothing has changed.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        now = self._now()
        before = await self.store.unresolved()
        facts = await self._facts.look(now=now)
        halted = {
            notice.cause.provider
            for notice in before
            if notice.cause.kind in {"provider_unavailable", "registration_rejected"}
        }

        def work() -> Plan:
            causes = open_causes(
                facts, halted={name for name in halted if name}, idle=self._idle, now=now
            )
            return plan(causes, before, reminders=self._reminders, now=now)

        # of ten thousand accounts it takes half a second, for which no token would be served
        planned = await asyncio.to_thread(work)
        await self.store.save(planned.made, planned.changed)

    async def open(self) -> list[Message]:
        """Give what people have to know now, the latest first."""
        found = [*await self.local.open(), *await self.store.open()]
        return [await self._words(notice) for notice in found]

    async def all(self) -> list[Message]:
        """Give what people have or had to know, the latest first."""
        found = [*await self.local.open(), *await self.store.all(limit=_MOST_SHOWN)]
        return [await self._words(notice) for notice in found]

    async def _words(self, notice: Notice) -> Message:
        accounts = await self.store.accounts(notice)
        event: Event = "resolved" if notice.is_resolved else "opened"
        return compose(notice, accounts=accounts, address=self.address, event=event)
