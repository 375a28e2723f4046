"""Runs that somebody asks the daemon for: they are queued, and go on behind the answer."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from connector.account import Account
from connector.errors import TemporarilyUnavailable
from connector.jobs.queue import RunQueue
from connector.settings import JobSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """What became of the wish to run a job for an account.

    Attributes:
        state: ``waiting`` in the queue, for a place here or on another host; ``already_running``,
            or queued: left out.
        run: the run's id, where it has begun or waits.
    """

    state: Literal["begun", "waiting", "already_running"]
    run: str | None = None


class RunStarter:
    """Queues runs.

    Args:
        queue: takes them.
    """

    def __init__(self, queue: RunQueue) -> None:
        self.queue = queue
        self.runner = queue.runner

    async def start(
        self, job: JobSettings, accounts: Iterable[str], since: object
    ) -> dict[str, Begun]:
        """Queue a run for each account; what there is a place for in this daemon begins at once.

        A run's deadline counts from its beginning.

        Args:
            job: which one.
            accounts: their names.
            since: replaces the cursor; None: it does not.

        Raises:
            TemporarilyUnavailable: the store cannot be had, or the daemon is stopping.
        """
        if self.queue.is_closed:
            raise TemporarilyUnavailable("the daemon is stopping")
        names = list(accounts)
        wanted: list[Account] = [
            one for one in await self.runner.accounts_of(job) if one.name in set(names)
        ]
        put = await self.queue.put_asked(job, wanted, since)
        return {name: self._begun(put[name].id if name in put else None) for name in names}

    def _begun(self, run: str | None) -> Begun:
        if run is None:
            return Begun(state="already_running")
        is_here = self.queue.has_begun(run)
        return Begun(state="begun" if is_here else "waiting", run=run)
