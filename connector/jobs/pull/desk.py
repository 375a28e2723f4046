"""A run's end of the ledger of rate limits, over its channel; see `connector.jobs.limit_ledger`."""

import asyncio
from typing import cast

from connector.jobs.channel import ChildChannel, Message
from connector.pulls.rules import Scope


class ChannelDesk:
    """See `limits.LimitDesk`.

    Args:
        channel: to the process that keeps the ledger; its unasked messages come here.
    """

    def __init__(self, channel: ChildChannel) -> None:
        self._channel = channel
        self.is_near = True  # until it has been asked
        self._told = 0
        channel.on_message = self._receive

    def tell(self, scope: Scope, part: str, *, used: float, wait: float, slow_from: float) -> None:
        """Tell how much of a limit is used."""
        self.is_near = True
        self._channel.send(
            {
                "type": "limit",
                "scope": scope,
                "part": part,
                "used": used,
                "wait": wait,
                "slow_from": slow_from,
            }
        )

    async def leave(self, part: str, *, has_turn: bool) -> float:
        """Ask how long to wait before a request is sent."""
        told = self._told
        message: Message = {"type": "leave", "part": part, "has_turn": has_turn}
        answer = await asyncio.wrap_future(self._channel.ask(message))
        self.is_near = bool(answer["is_near"])
        if self._told != told:
            self.is_near = True
        return cast("float", answer["wait"])

    def _receive(self, message: Message) -> None:
        if message["type"] == "limit":
            self._told += 1
            self.is_near = True
