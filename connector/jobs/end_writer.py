"""Writes how runs ended, what they said, and what follows them; where the store is away, later."""

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass

from connector.account import Account
from connector.errors import UnknownAccount
from connector.jobs.endings import TAKEN_OVER
from connector.jobs.run_log import RunLog
from connector.settings import JobSettings
from connector.store.accounts import AccountStore
from connector.store.queued_runs import Wish
from connector.store.run_rows import Ending, Run
from connector.store.runs import Followed, RunStore

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of a run.

    Attributes:
        run: which one.
        ending: how.
        at: seconds since the epoch.
        log: what it has said.
        again_at: it goes back into the queue, and is begun again from then on (seconds since the
            epoch); None: it is over.
    """

    run: Run
    ending: Ending
    at: float
    log: RunLog
    again_at: float | None


class EndWriter:
    """Writes ends.

    Args:
        accounts, runs: of the store.

    Attributes:
        jobs: of the configuration, which may follow one another.
    """

    def __init__(self, accounts: AccountStore, runs: RunStore) -> None:
        self._accounts = accounts
        self._runs = runs
        self.jobs: Mapping[str, JobSettings] = {}
        self._unwritten: dict[str, End] = {}

    async def write(self, end: End) -> None:
        """Write an end; it is kept where that fails.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
        """
        await self._write(end)
        await self.write_all()

    async def write_all(self) -> None:
        """Write the ends that could not be written.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
        """
        for name in list(self._unwritten):
            end = self._unwritten.pop(name, None)
            if end is not None:  # else somebody else is at it
                await self._write(end)

    async def _write(self, end: End) -> None:
        """Write an end; whoever calls this has it alone: a second time it would not be ours."""
        is_written = None
        try:
            await end.log.flush()
            if end.again_at is not None:
                is_written = await self._runs.queue.release(
                    end.run, end.ending, now=end.at, again_at=end.again_at
                )
            else:
                is_written = await self._finish(end)
        finally:
            if is_written is None:
                self._unwritten[end.run.id] = end
        if not is_written:
            run = end.run
            whose = {"job": run.job, "account": run.account, "run": run.id}
            logger.warning(TAKEN_OVER.error, extra={"action": "run.taken_over", **whose})

    async def _finish(self, end: End) -> bool:
        """Write an end, and queue what follows; False: the run was taken over.

        Runs of a schedule alone have followers.
        """
        run = end.run
        followers: dict[str, Wish] = {}
        if end.ending.outcome == "succeeded" and run.due_at is not None:
            followers = await self._followers(run)
        if not followers:
            return await self._runs.finish(run, end.ending, now=end.at)
        told = await self._runs.succeed(run, end.ending, followers, now=end.at)
        for job, what in (told or {}).items():
            _tell(run, job, what)
        return told is not None

    async def _followers(self, run: Run) -> dict[str, Wish]:
        """Give the runs that follow one, by the names of their jobs."""
        jobs = [job for job in self.jobs.values() if job.after == run.job]
        if not jobs:
            return {}
        try:
            account = await self._accounts.require(await self._runs.account_of(run))
        except UnknownAccount:
            return {}  # it was removed meanwhile
        return {
            job.name: Wish(account=account.name, delay=_delay(job))
            for job in jobs
            if selects(job, account)
        }


def _tell(run: Run, job: str, what: Followed) -> None:
    """Tell what came of a job that follows a run."""
    fields = {"job": job, "account": run.account, "after": run.job}
    if what == "queued":
        logger.info("a run follows", extra={"action": "run.follows", **fields})
    elif what == "paused":
        message = "the job that follows is paused; it is not run"
        logger.info(message, extra={"action": "run.not_followed", **fields})
    else:
        message = "the run before is still under way; this one is left out"
        logger.warning(message, extra={"action": "run.skipped", **fields})


def selects(job: JobSettings, account: Account) -> bool:
    """Tell whether a job is for an account, whatever its state."""
    return job.accounts.matches(account.name) and job.provider in {None, account.provider}


def _delay(job: JobSettings) -> float:
    return random.uniform(0, job.jitter) if job.jitter else 0.0  # noqa: S311 - spreads load
