"""What a run knows of rate limits: told to the others, and asked before it sends where one is near.

A limit is shared by all runs of an app, an account or a part; the process that holds the store
keeps the ledger (`connector.jobs.limit_ledger`). As long as no limit is near, nothing is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from connector.jobs.pull.sending import Reply
from connector.jobs.pull.waiting import Waiting
from connector.pulls import limits
from connector.pulls.rules import LimitRule, Scope

#: From here on nothing more may be sent.
_ALL: Final = 100.0


class LimitDesk(Protocol):
    """Where runs tell of limits, and ask for leave to send."""

    #: A limit is near, or it is not known yet: leave has to be asked.
    is_near: bool

    def tell(self, scope: Scope, part: str, *, used: float, wait: float, slow_from: float) -> None:
        """Tell how much of a limit is used.

        Args:
            scope: what shares it.
            part: whose limit it is, where parts have their own.
            used: in per cent.
            wait: seconds until it is free again; 0: unknown.
            slow_from: per cent from which calls are spread out.
        """
        ...

    async def leave(self, part: str, *, has_turn: bool) -> float:
        """Ask how long to wait before a request is sent.

        Args:
            part: that it is for; empty: none.
            has_turn: it was asked before and waited for its turn: only a halt counts.

        Returns:
            Seconds; 0: it may be sent now.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What an answer's headers say, where it refuses.

    Attributes:
        wait: seconds to stay away; None: they do not say.
        scope: what has to; None: they do not say.
        retry_after: seconds, of that header alone.
    """

    wait: float | None = None
    scope: Scope | None = None
    retry_after: float | None = None


class RunLimits:
    """The limits of one run.

    Args:
        rule: of the declaration.
        desk: shared with other runs.
        waiting: pauses.
    """

    def __init__(self, rule: LimitRule, desk: LimitDesk, waiting: Waiting) -> None:
        self._rule = rule
        self._desk = desk
        self._waiting = waiting
        self._near: set[tuple[Scope, str]] = set()  # limits that were told to be near

    async def leave(self, part: str) -> float:
        """Wait until a request may be sent; give the seconds that it took.

        Raises:
            TemporarilyUnavailable: it would take longer than may be waited.
        """
        waited = 0.0
        has_turn = False
        while self._desk.is_near:
            seconds = await self._desk.leave(part, has_turn=has_turn)
            if seconds <= 0:
                break
            await self._waiting.wait(seconds, "the API's rate limit is near", waited=waited)
            waited += seconds
            has_turn = True
        return waited

    def note(self, reply: Reply, part: str) -> Signs:
        """Tell of what an answer says of limits."""
        now = self._waiting.clock.now()
        usages = limits.read(reply.headers, self._rule, now)
        near = [usage for usage in usages if usage.used >= self._rule.slow_from]
        if usages and (near or self._near):
            self._tell_all(usages, part)
        worst = max(near, key=lambda usage: usage.wait, default=None)
        has_wait = worst is not None and worst.wait > 0
        return Signs(
            wait=worst.wait if worst is not None and has_wait else None,
            scope=worst.scope if worst is not None and has_wait else None,
            retry_after=limits.retry_after(reply.headers, now),
        )

    def _tell_all(self, usages: Sequence[limits.Usage], part: str) -> None:
        """Tell of limits that are near, and of those that are no longer."""
        for scope in {usage.scope for usage in usages}:
            of_scope = [usage for usage in usages if usage.scope == scope]
            used = max(usage.used for usage in of_scope)
            limit = (scope, part if scope == "part" else "")
            if used >= self._rule.slow_from:
                self._near.add(limit)
            elif limit in self._near:
                self._near.discard(limit)
            else:
                continue
            wait = max(usage.wait for usage in of_scope if usage.used == used)
            self._tell(scope, part, used, wait)

    def halt(self, scope: Scope | None, part: str, seconds: float) -> None:
        """Keep all who share a limit from sending for a while: the API has refused."""
        self._tell(scope or self._rule.scope, part, _ALL, seconds)

    def _tell(self, scope: Scope, part: str, used: float, wait: float) -> None:
        slow_from = self._rule.slow_from
        self._desk.tell(scope, part, used=used, wait=wait, slow_from=slow_from)
