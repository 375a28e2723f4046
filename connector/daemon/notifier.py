"""Tells people what they must know: looks for it, and has each channel send what it has not sent.

It is level-triggered: what is told follows from what the store says, whatever this process or
another one did before it ended. A channel that is slow or dead holds up nothing but itself.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Final

from connector.errors import ConnectorError
from connector.jobs.child_run import OWN_VARIABLES
from connector.notices.channel import Channel
from connector.notices.channels import make_channels
from connector.notices.here import look_here, tell_of_end
from connector.notices.local import LocalNotices
from connector.notices.sender import Outbox, Sender
from connector.runtime import Runtime
from connector.settings import Settings
from connector.store.owner import new_owner

logger = logging.getLogger(__name__)

#: It is looked at least this often (seconds): reminders and ends that draw near change nothing in
#: the database.
LOOK_INTERVAL: Final = 60.0
#: And no more often than this, however much changes: a look is a few queries (seconds).
SHORTEST_PAUSE: Final = 2.0
#: Nor for more than this share of the time: with ten thousand open notices a look takes longer.
SHARE: Final = 0.05


class Notifier:
    """Sends notices until it is closed.

    Args:
        runtime: the objects of a daemon or a worker.
        channels: by which people are told.
        of_host_alone: of what concerns this host alone people are told, as by a worker: of all
            that the store says its daemons tell, and a further look for each worker finds no more.
    """

    def __init__(
        self, runtime: Runtime, channels: Sequence[Channel], *, of_host_alone: bool = False
    ) -> None:
        self._runtime = runtime
        self._of_host_alone = of_host_alone
        self._desk = runtime.notices
        self._channels = channels
        self._looking: asyncio.Task[None] | None = None
        self._sending: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._wake: dict[str, asyncio.Event] = {}

    def start(self) -> None:
        """Begin."""
        self._looking = asyncio.create_task(self._keep_looking(), name="notices")
        self.use(self._channels)

    def use(self, channels: Sequence[Channel]) -> None:
        """Tell people by other channels; what is being sent is sent again by one of that name."""
        for task in self._sending.values():
            task.cancel()
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
        self._channels = channels
        self._wake = {channel.name: asyncio.Event() for channel in channels}
        self._sending = {
            channel.name: asyncio.create_task(
                self._keep_sending(channel, self._wake[channel.name]),
                name=f"notices {channel.name}",
            )
            for channel in channels
        }

    async def aclose(self) -> None:
        """Stop; what was being sent is sent again by the next one."""
        tasks = [*self._sending.values(), *filter(None, [self._looking])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._ending, return_exceptions=True)

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            count, began = self._desk.changes.count, loop.time()
            try:
                await self._look()
            except Exception:  # one that ends would leave everybody untold
                logger.exception(
                    "looking for notices failed by a bug", extra={"action": "notices.bug"}
                )
            for event in self._wake.values():
                event.set()
            took = loop.time() - began
            if self._of_host_alone:
                await asyncio.sleep(LOOK_INTERVAL)
                continue
            await asyncio.sleep(max(SHORTEST_PAUSE, took / SHARE))
            await self._desk.changes.heard(LOOK_INTERVAL, since=count)

    async def _look(self) -> None:
        """Look for what the store says, and for what concerns this host."""
        failure: ConnectorError | None = None
        try:
            if not self._of_host_alone:
                await self._desk.look()
            await self._desk.store.close(now=self._runtime.now())
        except ConnectorError as error:
            failure = error
        await look_here(
            self._desk.local,
            failure,
            waiting=self._runtime.kept.count,
            misfit=self._runtime.trail.misfit,
            now=self._runtime.now(),
        )

    async def _keep_sending(self, channel: Channel, wake: asyncio.Event) -> None:
        runtime = self._runtime
        sender = Sender(channel, owner=runtime.owner, address=self._desk.address, now=runtime.now)
        try:
            while True:
                wake.clear()
                pause = LOOK_INTERVAL
                for outbox in self._outboxes:
                    pause = min(pause, await self._send_all(sender, outbox))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await wake.wait()
        finally:
            await channel.aclose()

    @property
    def _outboxes(self) -> Sequence[Outbox]:
        desk = self._desk
        return (desk.local,) if self._of_host_alone else (desk.local, desk.store)

    async def _send_all(self, sender: Sender, outbox: Outbox) -> float:
        """Send all that there is to send now; give how long there is nothing more (seconds)."""
        try:
            while await sender.send_one(outbox):
                continue
            return await sender.pause(outbox)
        except ConnectorError:
            return LOOK_INTERVAL  # the database is away: that is told of elsewhere
        except Exception:
            extra = sender.extra | {"action": "notices.bug"}
            logger.exception("sending notices failed by a bug", extra=extra)
            return LOOK_INTERVAL


def configured_channels(settings: Settings) -> list[Channel]:
    """Give the channels of a configuration.

    Raises:
        ConfigurationError: one is not as it should be.
    """
    hidden = settings.hidden_variables | OWN_VARIABLES
    return make_channels(settings, hidden_variables=hidden)


async def tell_why_it_ends(settings: Settings, failure: ConnectorError) -> None:
    """Tell people why a daemon or worker ends; where that fails, the log has said so."""
    local = LocalNotices(settings.vault.journal, reminders=settings.notify.reminders)
    try:
        channels = configured_channels(settings)
        address = settings.daemon.address
        await tell_of_end(
            failure, local, channels, owner=new_owner(), address=address, now=time.time
        )
        for channel in channels:
            await channel.aclose()
    except ConnectorError as error:
        logger.warning(str(error), extra={"action": "notices.not_told"})
    except Exception:  # it must not hide why it ends
        extra = {"action": "notices.bug"}
        logger.exception("telling why it ends failed by a bug", extra=extra)
