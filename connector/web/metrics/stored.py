"""What the store holds, for a scrape: asked once in a while, and not waited for long."""

import asyncio
import logging
from typing import Final

from prometheus_client.core import Metric

from connector.errors import ConnectorError
from connector.runtime import Runtime
from connector.store.statistics import Statistics
from connector.web.metrics.family import gauge, single

logger = logging.getLogger(__name__)

#: What is no older is told again (seconds): several systems may scrape, and it is a look at all
#: accounts.
MOST_AGE: Final = 5.0
#: A scrape waits for the database so long (seconds); a monitoring system waits for it ten.
PATIENCE: Final = 0.75
#: A database that has answered anything within this time is there, if slow to count (seconds);
#: memory is compared with it twice a second.
CONTACT_AGE: Final = 5.0
#: What was counted longer ago is not told as what is so (seconds).
MOST_STALE: Final = 120.0
_STATES: Final = ("active", "consent_required", "pending")
#: Good keys are counted that end within these (days).
_KEY_HORIZONS: Final = (1, 7, 30)
_DAY: Final = 86_400.0


class StoredNumbers:
    """What the store holds.

    Args:
        runtime: the daemon's objects.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._is_up = False
        self._found: Statistics | None = None
        self._found_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def ask(self) -> None:
        """Ask the store anew where what is known is too old; waits for `PATIENCE` at most."""
        moment = asyncio.get_running_loop().time()
        if moment - self._found_at < MOST_AGE:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="metrics")
        await asyncio.wait({self._asking}, timeout=PATIENCE)
        if self._asking.done():
            return
        age = self._runtime.now() - self._runtime.database.answered_at
        self._is_up = age <= CONTACT_AGE
        if not self._is_up or moment - self._found_at > MOST_STALE:
            self._found = None

    async def aclose(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    def families(self) -> list[Metric]:
        """Give the metrics: of the store only whether it is there, where it is not."""
        up = gauge("store_up", "Whether the database answers", single(float(self._is_up)))
        if self._found is None:
            return [up]
        return [up, *self._accounts(self._found), *self._others(self._found)]

    async def _ask(self) -> None:
        began_at = asyncio.get_running_loop().time()
        try:
            self._found = await self._runtime.statistics.read(self._runtime.now())
        except ConnectorError as error:
            self._found, self._is_up = None, False
            logger.debug("%s", error, extra={"action": "metrics.store_away"})
            return
        self._found_at, self._is_up = began_at, True

    def _accounts(self, found: Statistics) -> list[Metric]:
        providers = {*self._runtime.settings.providers, *(one for one, _ in found.accounts)}
        none = {(provider, state): 0 for provider in providers for state in _STATES}
        now = self._runtime.now()
        oldest = found.oldest_due_at
        return [
            gauge("accounts", "Accounts", none | dict(found.accounts), "provider", "state"),
            gauge(
                "accounts_failing",
                "Active accounts whose last refresh failed",
                {(provider,): count for provider, count in found.failing.items()},
                "provider",
            ),
            gauge(
                "access_tokens_ending",
                "Active accounts whose access token ends within a time; 0s: it has ended",
                found.tokens_ending,
                "provider",
                "within",
            ),
            gauge(
                "consents_ending",
                "Active accounts whose consent ends within a time; 0d: it has ended",
                found.consents_ending,
                "provider",
                "within",
            ),
            gauge("accounts_due", "Accounts that are due to be refreshed", single(found.due)),
            gauge(
                "refresher_lag_seconds",
                "For how long the account has been due that has been so longest",
                single(0.0 if oldest is None else max(0.0, now - oldest)),
            ),
        ]

    def _others(self, found: Statistics) -> list[Metric]:
        now = self._runtime.now()
        jobs = self._runtime.settings.jobs
        held = {name: one for name, one in found.halts.items() if one.until > now}
        ends = [end for end in found.key_ends if end is not None]
        return [
            gauge(
                "provider_halted",
                "Whether a provider's token endpoint is left alone: it asks for it, is down, or"
                " rejects the client registration",
                {(name,): float(name in held) for name in self._runtime.settings.providers},
                "provider",
            ),
            gauge(
                "provider_registration_rejected",
                "Whether a provider rejects our client registration",
                {
                    (name,): float(name in found.halts and found.halts[name].is_rejected)
                    for name in self._runtime.settings.providers
                },
                "provider",
            ),
            gauge(
                "revocation_debts",
                "Revocations that no provider has confirmed yet",
                single(found.revocations),
            ),
            gauge(
                "late_tokens",
                "Refresh tokens that came too late, and are kept",
                single(found.late_tokens),
            ),
            gauge(
                "notices_open",
                "Notices whose cause goes on",
                {(kind,): count for kind, count in found.notices.items()},
                "kind",
            ),
            gauge("api_keys", "API keys that are good", single(len(found.key_ends))),
            gauge(
                "api_keys_ending",
                "API keys that end within a time",
                {
                    (f"{days}d",): sum(end <= now + days * _DAY for end in ends)
                    for days in _KEY_HORIZONS
                },
                "within",
            ),
            gauge(
                "job_paused",
                "Whether a job is paused",
                {(name,): float(name in found.paused) for name in jobs},
                "job",
            ),
            gauge(
                "job_runs_claimed",
                "Runs under way in any process",
                {(name,): found.running.get(name, 0) for name in jobs},
                "job",
            ),
            gauge(
                "job_runs_queued",
                "Runs that wait to be begun by any process",
                {(name,): found.queued.get(name, 0) for name in jobs},
                "job",
            ),
            gauge(
                "job_queue_age_seconds",
                "For how long the run has waited that has waited longest",
                {(name,): max(0.0, now - found.oldest_queued_at.get(name, now)) for name in jobs},
                "job",
            ),
            gauge(
                "job_last_success_timestamp_seconds",
                "When a run of a job last succeeded",
                {(name,): at for name, at in found.succeeded_at.items() if name in jobs},
                "job",
            ),
        ]
