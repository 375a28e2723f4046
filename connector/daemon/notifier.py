"""Tells people what they must know: looks for it, and has each channel send what it has not sent.

It is level-triggered: what is told follows from what the store says, whatever this process or
another one did before it ended. A channel that is slow or dead holds up nothing but itself.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from connector.errors import ConnectorError
from connector.notices.channel import Channel, pause_after, try_to_send
from connector.notices.wording import compose
from connector.runtime import Runtime
from connector.store.notices import Delivery

logger = logging.getLogger(__name__)

#: It is looked at least this often (seconds): reminders and ends that draw near change nothing in
#: the database.
LOOK_INTERVAL: Final = 60.0
#: And no more often than this, however much changes: a look is a few queries (seconds).
SHORTEST_PAUSE: Final = 2.0
#: Nor for more than this share of the time: with ten thousand open notices a look takes longer.
SHARE: Final = 0.05
#: A channel that fails for so long is told of as an error, once (seconds).
DEAD_AFTER: Final = 3600.0


class Notifier:
    """Sends notices until it is closed.

    Args:
        runtime: the daemon's objects.
        channels: by which people are told.
    """

    def __init__(self, runtime: Runtime, channels: Sequence[Channel]) -> None:
        self._runtime = runtime
        self._desk = runtime.notices
        self._channels = channels
        self._tasks: list[asyncio.Task[None]] = []
        self._wake = {channel.name: asyncio.Event() for channel in channels}

    def start(self) -> None:
        """Begin."""
        self._tasks.append(asyncio.create_task(self._keep_looking(), name="notices"))
        for channel in self._channels:
            task = asyncio.create_task(self._keep_sending(channel), name=f"notices {channel.name}")
            self._tasks.append(task)

    async def aclose(self) -> None:
        """Stop; what was being sent is sent again by the next one."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for channel in self._channels:
            await channel.aclose()

    async def _keep_looking(self) -> None:
        loop = asyncio.get_running_loop()
        is_failing = False
        while True:
            count, began = self._desk.changes.count, loop.time()
            try:
                await self._desk.look()
                await self._desk.store.close(now=self._runtime.now())
                is_failing = False
            except ConnectorError as error:
                if not is_failing:
                    extra = {"action": "notices.wait"}
                    logger.warning("notices cannot be looked for: %s", error, extra=extra)
                is_failing = True
            except Exception:  # one that ends would leave everybody untold
                logger.exception("looking for notices failed by a bug")
            for event in self._wake.values():
                event.set()
            took = loop.time() - began
            await asyncio.sleep(max(SHORTEST_PAUSE, took / SHARE))
            await self._desk.changes.heard(LOOK_INTERVAL, since=count)

    async def _keep_sending(self, channel: Channel) -> None:
        sender = _Sender(self._runtime, channel)
        while True:
            pause = LOOK_INTERVAL
            self._wake[channel.name].clear()
            try:
                while await sender.send_one():
                    continue
                pause = await sender.pause()
            except ConnectorError:
                pass  # the database is away: told of elsewhere
            except Exception:
                logger.exception("sending notices failed by a bug", extra=sender.extra)
            try:
                async with asyncio.timeout(pause):
                    await self._wake[channel.name].wait()
            except TimeoutError:
                continue


class _Sender:
    """Sends by one channel.

    Args:
        runtime: the daemon's objects.
        channel: which.
    """

    def __init__(self, runtime: Runtime, channel: Channel) -> None:
        self._runtime = runtime
        self._channel = channel
        self._store = runtime.notices.store
        self._failing_since: float | None = None
        self._is_dead = False
        self.extra = {"action": "notice.not_sent", "channel": channel.name}

    async def send_one(self) -> bool:
        """Send one notice; False: there is none to send now.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        name, now = self._channel.name, self._runtime.now
        delivery = await self._store.claim(name, owner=self._runtime.owner, now=now())
        if delivery is None:
            return False
        address = self._runtime.notices.address
        message = compose(delivery.notice, accounts=delivery.accounts, address=address)
        reason = await try_to_send(self._channel, message, now=now())
        if reason is not None:
            await self._failed(delivery, reason)
            return True
        await self._store.delivered(delivery)
        self._failing_since, self._is_dead = None, False
        logger.info(
            "told: %s",
            message.title,
            extra={
                "action": "notice.sent",
                "channel": name,
                "account": delivery.notice.cause.account or "",
                "provider": delivery.notice.cause.provider or "",
            },
        )
        return True

    async def pause(self) -> float:
        """Give how long there is nothing to send (seconds)."""
        retry_at = await self._store.next_retry(self._channel.name)
        if retry_at is None:
            return LOOK_INTERVAL
        return min(max(retry_at - self._runtime.now(), SHORTEST_PAUSE), LOOK_INTERVAL)

    async def _failed(self, delivery: Delivery, reason: str) -> None:
        """Have it tried again; tell of the first failure, and once of a channel that is dead."""
        now = self._runtime.now()
        await self._store.failed(delivery, retry_at=now + pause_after(delivery.attempts))
        is_first = self._failing_since is None
        since = now if self._failing_since is None else self._failing_since
        self._failing_since = since
        name = self._channel.name
        if is_first:
            logger.warning("a notice could not be sent by %s: %s", name, reason, extra=self.extra)
        elif not self._is_dead and now - since >= DEAD_AFTER:
            self._is_dead = True
            text = "notices have not been sent by %s for an hour: %s"
            logger.error(text, name, reason, extra=self.extra | {"action": "notice.channel_dead"})
