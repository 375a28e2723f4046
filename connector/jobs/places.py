"""How many runs go on at once: in all, for a provider, of a job for a provider, of an account.

An API that hangs, or a function that does, keeps its places until the deadline. The bounds are
nested so that it never keeps all of them, and the runs of other providers and jobs go on. Nothing
waits here: what finds no place stays in the queue, where another host may have one.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from connector.settings import JobSettings, Settings
from connector.settings.providers import DEFAULT_RUNS as FOR_A_PROVIDER
from connector.settings.tables import DEFAULT_RUNS as IN_ALL
from connector.store.run_lines import Openings

#: Of one account, by several jobs: providers count what an account asks for.
OF_AN_ACCOUNT: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many runs go on at once in this process.

    Attributes:
        in_all: of all jobs.
        for_provider: by provider.
    """

    in_all: int = IN_ALL
    for_provider: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Settings, in_all: int | None = None) -> Self:
        """Give those of a configuration.

        Args:
            settings: the configuration.
            in_all: instead of what it says.
        """
        return cls(
            in_all=settings.daemon.concurrent_runs if in_all is None else in_all,
            for_provider=settings.provider_runs,
        )


class Places:
    """Places for runs.

    Args:
        jobs: of the configuration.
        limits: how many there are.

    Attributes:
        jobs, limits: as given; may be replaced.
    """

    def __init__(self, jobs: Mapping[str, JobSettings], limits: Limits) -> None:
        self.jobs = jobs
        self.limits = limits
        self._in_all = 0
        self._for_provider: Counter[str] = Counter()
        self._of_job: Counter[tuple[str, str]] = Counter()
        self._of_account: Counter[str] = Counter()

    def take(self, job: str, provider: str, account: str) -> Callable[[], None]:
        """Keep a place; give what gives that one back, whatever the providers are by then."""
        provider = provider if provider in self.limits.for_provider else ""
        self._count(job, provider, account, 1)
        return lambda: self._count(job, provider, account, -1)

    def openings(self) -> Openings:
        """Say which runs there is a place for."""
        limits = self.limits
        if self._in_all >= limits.in_all:
            return Openings()
        open_providers = [
            provider
            for provider in ("", *limits.for_provider)
            if self._for_provider[provider] < limits.for_provider.get(provider, FOR_A_PROVIDER)
        ]
        return Openings(
            places=tuple(
                (job.name, provider)
                for job in self.jobs.values()
                for provider in open_providers
                if job.provider in {None, provider} or not provider
                if self._of_job[job.name, provider] < job.concurrent_runs
            ),
            providers=frozenset(limits.for_provider),
            full=frozenset(
                account for account, count in self._of_account.items() if count >= OF_AN_ACCOUNT
            ),
        )

    def _count(self, job: str, provider: str, account: str, change: int) -> None:
        self._in_all += change
        self._for_provider[provider] += change
        self._of_job[job, provider] += change
        self._of_account[account] += change
        if not self._of_account[account]:
            del self._of_account[account]
