"""Whether the token endpoint of a provider may be asked now: halts, breaker, suspicion.

    Retry-After             the provider is left alone until then (CHECKLIST 48)
    registration rejected   left alone for a minute at a time; no account is at fault (R24)
    circuit breaker         several failures in a row, of several accounts or before anything was
                            sent: left alone for a while, then one request goes first (71, R20)
    suspicion               many accounts refused alike within a minute: some servers answer so to a
                            wrong client secret, so the registration is doubted, not the grants

What one process finds out is written to the store and holds for all. Only a success ends a halt
early. While one holds, tokens that work are served as ever.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from connector import errors
from connector.oauth.token_response import (
    Answer,
    Granted,
    NeverSent,
    OutcomeUnknown,
    Refused,
    RefusedUnexplained,
    Unavailable,
)
from connector.store.halts import Halt, HaltStore
from connector.token_source.verdict import REGISTRATION_PAUSE, Verdict

#: What other processes have written is believed this old at most, in seconds.
HALTS_AGE: Final = 1.0
#: In a row, without a success between them.
BREAKER_FAILURES: Final = 5
#: One account that fails is that account's trouble; its own back-off is enough.
BREAKER_ACCOUNTS: Final = 3
FIRST_BREAK: Final = 5.0
LONGEST_BREAK: Final = 300.0
#: A probe that has not come back by then was lost: longer than a request's deadline.
PROBE_TIME: Final = 45.0
#: So many accounts do not end by themselves within a minute.
SUSPECT_ACCOUNTS: Final = 5
SUSPICION_WINDOW: Final = 60.0
LONGEST_SUSPICION_PAUSE: Final = 3600.0
#: Then the provider is taken at its word.
SUSPICION_LIMIT: Final = 86_400.0
SUSPECTED: Final = "invalid_grant"


@dataclass(slots=True)
class _Endpoint:
    """What this process has seen of one provider since its last success."""

    failures: int = 0
    sent_failures: int = 0
    failed_accounts: set[str] = field(default_factory=set)
    refused: dict[str, float] = field(default_factory=dict)
    probe_until: float = 0.0


class ProviderGate:
    """Keeps requests from providers that are to be left alone.

    Args:
        halts: what all processes know.
        now: gives seconds since the epoch.
        uniform: source of randomness.
    """

    def __init__(
        self,
        halts: HaltStore,
        *,
        now: Callable[[], float],
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._halts = halts
        self._now = now
        self._uniform = uniform
        self._endpoints: dict[str, _Endpoint] = {}
        self._known: dict[str, Halt] = {}
        self._known_at = float("-inf")

    async def check(self, provider: str) -> None:
        """Refuse while a provider is to be left alone.

        Raises:
            RegistrationRejected: because it rejects our registration.
            TemporarilyUnavailable: for another reason; says until when.
        """
        halt = await self._find(provider)
        if halt is None:
            return
        now, until = self._now(), halt.until
        if now >= until:  # half open: one request goes first
            until = self._endpoint(provider).probe_until
        if now < until:
            if halt.rejected is not None:
                raise errors.RegistrationRejected(provider, halt.rejected)
            raise errors.TemporarilyUnavailable(halt.message, datetime.fromtimestamp(until, UTC))

    async def look(self, provider: str) -> None:
        """Learn of a halt that does not matter to who asks, so that a success may end it."""
        await self._find(provider)

    def begin(self, provider: str) -> None:
        """Say that a request is about to be sent."""
        if provider in self._known:
            self._endpoint(provider).probe_until = self._now() + PROBE_TIME

    async def note(self, provider: str, account: str, answer: Answer, verdict: Verdict) -> None:
        """Learn from an answer.

        Args:
            provider: its name in the configuration.
            account: whose refresh it was.
            answer: of the token endpoint.
            verdict: what it comes to.

        Raises:
            TemporarilyUnavailable: the store cannot be written; it is known here all the same.
        """
        endpoint = self._endpoint(provider)
        endpoint.probe_until = 0.0
        match answer:
            case Granted():
                await self.succeeded(provider, sent_at=answer.tokens.sent_at)
            case Refused() if verdict.rejected is not None:
                await self._halt(provider, REGISTRATION_PAUSE, verdict.message, verdict.rejected)
            case Unavailable(retry_after=seconds) if seconds:
                await self._halt(provider, seconds, verdict.message)
            case NeverSent() | Unavailable() | OutcomeUnknown():
                endpoint.failures += 1
                endpoint.sent_failures += not isinstance(answer, NeverSent)
                endpoint.failed_accounts.add(account)
                if self._is_broken(provider, endpoint):
                    await self._halt(provider, self._break(provider), verdict.message)
            case RefusedUnexplained() if self._adds_up(provider, account):
                await self._suspect(provider, verdict.message)
            case _:
                return

    def heard(self, provider: str) -> None:
        """Say that the endpoint works: it has refused and said why."""
        endpoint = self._endpoint(provider)
        endpoint.failures = endpoint.sent_failures = 0
        endpoint.failed_accounts.clear()
        endpoint.probe_until = 0.0

    async def succeeded(self, provider: str, *, sent_at: float) -> None:
        """Forget what went wrong: the provider has issued tokens.

        Args:
            provider: its name in the configuration.
            sent_at: when they were asked for. That an endpoint has answered what was under way
                does not take back that it asks to be left alone since.

        Raises:
            TemporarilyUnavailable: the store cannot be written; it is forgotten here all the same.
        """
        self._endpoints.pop(provider, None)
        halt = self._known.get(provider)
        if halt is not None and (halt.rejected is not None or halt.since <= sent_at):
            del self._known[provider]
            await self._halts.end(provider)

    async def is_suspect(self, provider: str, account: str) -> bool:
        """Tell whether an ``invalid_grant`` is to be doubted, and halt the provider if so.

        Args:
            provider: its name in the configuration.
            account: whose refresh was refused.
        """
        if not self._adds_up(provider, account):
            return False
        halt = self._known.get(provider)
        if halt and halt.rejected == SUSPECTED and self._now() - halt.since > SUSPICION_LIMIT:
            return False
        accounts = len(self._endpoint(provider).refused)
        await self._suspect(
            provider,
            f"provider {provider} refuses {accounts} accounts alike within a minute, as some do"
            " where the client secret is wrong: check it; no account was ended",
        )
        return True

    def refused_accounts(self, provider: str) -> list[str]:
        """Give the accounts that were refused alike, and may have been ended too soon."""
        return list(self._endpoint(provider).refused)

    def _adds_up(self, provider: str, account: str) -> bool:
        """Count a refusal; tell whether there are too many alike to be the accounts' own."""
        now, refused = self._now(), self._endpoint(provider).refused
        refused[account] = now
        halt = self._known.get(provider)
        if halt is not None and halt.rejected == SUSPECTED:
            return True
        for name in [name for name, at in refused.items() if at < now - SUSPICION_WINDOW]:
            del refused[name]
        return len(refused) >= SUSPECT_ACCOUNTS

    async def _suspect(self, provider: str, message: str) -> None:
        pause = self._grown(provider, REGISTRATION_PAUSE, LONGEST_SUSPICION_PAUSE)
        await self._halt(provider, pause, message, SUSPECTED)

    def _is_broken(self, provider: str, endpoint: _Endpoint) -> bool:
        if provider in self._known:
            return True  # it was given a last chance
        is_wide = endpoint.sent_failures == 0 or len(endpoint.failed_accounts) >= BREAKER_ACCOUNTS
        return endpoint.failures >= BREAKER_FAILURES and is_wide

    def _break(self, provider: str) -> float:
        seconds = self._grown(provider, FIRST_BREAK, LONGEST_BREAK)
        return self._uniform(seconds / 2, seconds)

    def _grown(self, provider: str, first: float, longest: float) -> float:
        """Give a pause as long as the trouble has lasted, so that pauses double."""
        halt = self._known.get(provider)
        return min(longest, max(first, self._now() - halt.since if halt else 0.0))

    async def _halt(
        self, provider: str, seconds: float, message: str, rejected: str | None = None
    ) -> None:
        now, before = self._now(), self._known.get(provider)
        halt = Halt(
            provider=provider,
            until=now + seconds,
            since=before.since if before else now,
            message=message,
            rejected=rejected,
        )
        self._known[provider] = halt
        await self._halts.begin(halt)

    async def _find(self, provider: str) -> Halt | None:
        if self._now() - self._known_at >= HALTS_AGE or self._known_at > self._now():
            self._known_at = self._now()  # whoever comes meanwhile does not ask as well
            try:
                self._known = await self._halts.all()
            except errors.TemporarilyUnavailable:
                return self._known.get(provider)
        return self._known.get(provider)

    def _endpoint(self, provider: str) -> _Endpoint:
        return self._endpoints.setdefault(provider, _Endpoint())
