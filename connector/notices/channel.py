"""A channel: one way by which people are told."""

import asyncio
from typing import Final, Protocol

from connector.notices.wording import Message

#: A channel that takes longer has failed (seconds).
SEND_TIME: Final = 30.0
#: Pauses before a message is tried again, in seconds: soon at first, then growing to an hour.
FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 3600.0
_GROWTH: Final = 3.0
#: A channel that does not keep its own time limit is cut off after this (seconds).
_OVERTIME: Final = 5.0


class Undelivered(Exception):
    """A channel could not tell it; says why in a line, without address or secret."""


class Channel(Protocol):
    """Tells people.

    Attributes:
        name: of the channel, the same in every daemon with this configuration; no secret.
    """

    @property
    def name(self) -> str:
        """See above."""

    async def send(self, message: Message, *, now: float) -> None:
        """Tell it, within `SEND_TIME`; the same message may come again after a failure.

        Args:
            message: what.
            now: seconds since the epoch.

        Raises:
            Undelivered: it may not have arrived.
        """

    async def aclose(self) -> None:
        """Let go of what is held."""


async def try_to_send(channel: Channel, message: Message, *, now: float) -> str | None:
    """Send a message once.

    Args:
        channel: by which.
        message: what.
        now: seconds since the epoch.

    Returns:
        Why it may not have arrived; None: it has.
    """
    try:
        async with asyncio.timeout(SEND_TIME + _OVERTIME):
            await channel.send(message, now=now)
    except Undelivered as error:
        return str(error)
    except TimeoutError:
        return "it took too long"
    return None


def pause_after(attempts: int) -> float:
    """Give how long to wait before the next try (seconds).

    Args:
        attempts: how many were in vain so far.
    """
    return min(LONGEST_PAUSE, FIRST_PAUSE * _GROWTH ** min(attempts, 20))
