"""Sends by one channel what it has not sent yet, one after the other."""

import logging
from collections.abc import Callable
from typing import Final, Protocol

from connector.notice import Delivery
from connector.notices.channel import Channel, pause_after, try_to_send
from connector.notices.wording import compose

logger = logging.getLogger(__name__)

#: A channel that fails for so long is told of as an error, once (seconds).
DEAD_AFTER: Final = 3600.0
#: It is looked for what is to be sent at least and at most so often (seconds).
LONGEST_PAUSE: Final = 60.0
SHORTEST_PAUSE: Final = 2.0


class Outbox(Protocol):
    """What there is to send; see `store.notices.NoticeStore` and `local.LocalNotices`."""

    async def claim(self, channel: str, *, owner: str, now: float) -> Delivery | None:
        """Take what a channel is to tell now; None: there is nothing."""

    async def delivered(self, delivery: Delivery) -> None:
        """Note that a channel has told what it had claimed."""

    async def failed(self, delivery: Delivery, *, retry_at: float) -> None:
        """Note that a channel could not tell it."""

    async def next_retry(self, channel: str) -> float | None:
        """Give when a channel has something to try again; None: it has not."""


class Sender:
    """Sends by one channel.

    Args:
        channel: which.
        owner: this process, as it claims.
        address: of the daemon, for links.
        now: gives seconds since the epoch.

    Attributes:
        extra: of its lines in the log.
    """

    def __init__(
        self, channel: Channel, *, owner: str, address: str, now: Callable[[], float]
    ) -> None:
        self._channel = channel
        self._owner = owner
        self._address = address
        self._now = now
        self._failing_since: float | None = None
        self._is_dead = False
        self.extra = {"action": "notice.not_sent", "channel": channel.name}

    async def send_one(self, outbox: Outbox) -> bool:
        """Send one notice; False: there is none to send now.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        name = self._channel.name
        delivery = await outbox.claim(name, owner=self._owner, now=self._now())
        if delivery is None:
            return False
        message = compose(delivery.notice, accounts=delivery.accounts, address=self._address)
        reason = await try_to_send(self._channel, message, now=self._now())
        if reason is not None:
            retry_at = self._now() + pause_after(delivery.attempts)
            self._tell(reason)
            await outbox.failed(delivery, retry_at=retry_at)
            return True
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
        await outbox.delivered(delivery)
        return True

    async def pause(self, outbox: Outbox) -> float:
        """Give how long there is nothing to send (seconds); errors as of `send_one`."""
        retry_at = await outbox.next_retry(self._channel.name)
        if retry_at is None:
            return LONGEST_PAUSE
        return min(max(retry_at - self._now(), SHORTEST_PAUSE), LONGEST_PAUSE)

    def _tell(self, reason: str) -> None:
        """Tell of the first failure, and once of a channel that is dead."""
        now, name = self._now(), self._channel.name
        if self._failing_since is None:
            self._failing_since = now
            logger.warning("a notice could not be sent by %s: %s", name, reason, extra=self.extra)
        elif not self._is_dead and now - self._failing_since >= DEAD_AFTER:
            self._is_dead = True
            text = "notices have not been sent by %s for an hour: %s"
            logger.error(text, name, reason, extra=self.extra | {"action": "notice.channel_dead"})
