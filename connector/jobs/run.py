"""One run of a job for one account: claim it, run the function, write down how it ended.

While it goes on its owner says so, with how far it is. An owner that finds its run taken over kills
its child and writes nothing.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from connector.account import Account
from connector.credential import CredentialSource
from connector.errors import ConnectorError, TemporarilyUnavailable, UnknownAccount
from connector.jobs.channel import Message
from connector.jobs.child_run import ChildRun
from connector.jobs.end_writer import End, EndWriter, selects
from connector.jobs.endings import TAKEN_OVER, RunEnding, ending_of, failed_by, summed
from connector.jobs.fork_server import ForkServer
from connector.jobs.granted import refusal_of
from connector.jobs.order import Asked, Result
from connector.jobs.ordering import OrderSettings, deadline_of, order_of
from connector.jobs.owning import to_its_end, until_taken_over
from connector.jobs.run_credentials import RunCredentials
from connector.jobs.run_figures import UnderWay
from connector.jobs.run_log import RunLog
from connector.jobs.shared_limits import SharedLimits
from connector.jobs.trying_again import again_at, put_off
from connector.settings import JobSettings
from connector.settings.values import HttpSettings
from connector.store.accounts import AccountStore
from connector.store.run_rows import Run
from connector.store.runs import RunStore

__all__ = ["JobRunner", "Observer", "RunEnding"]

logger = logging.getLogger(__name__)

#: Is told of a run that has ended here, as it began here, how, and after how many seconds.
Observer = Callable[[Run, RunEnding, float], None]


class JobRunner:
    """Runs jobs.

    Args:
        accounts, runs: of the store.
        credentials: where the runs' tokens come from.
        folder: of the configuration.
        hidden_variables: environment variables that runs do not get; may be replaced.
        owner: this process as an owner of runs.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        accounts: AccountStore,
        runs: RunStore,
        credentials: CredentialSource,
        folder: Path,
        hidden_variables: frozenset[str],
        owner: str,
        now: Callable[[], float],
    ) -> None:
        self.runs = runs
        self._accounts = accounts
        self._credentials = credentials
        self._folder = folder
        self.hidden_variables = hidden_variables
        self.owner = owner
        self._now = now
        self.running: dict[str, int] = {}  # by job, in this process
        self.ends = EndWriter(accounts, runs)
        self._under_way: dict[str, UnderWay] = {}
        self._observers: list[Observer] = []
        self.http: HttpSettings | None = None  # may be replaced
        self._limits = SharedLimits(runs.limits, now=now)
        self.fork_server = ForkServer() if sys.platform == "linux" else None  # may be replaced

    def close(self) -> None:
        """Start no more runs."""
        if self.fork_server is not None:
            self.fork_server.close()

    def progress(self, run_id: str) -> UnderWay | None:
        """Give what is known of a run that is under way in this process."""
        return self._under_way.get(run_id)

    def tell_to(self, observer: Observer) -> None:
        """Tell an observer, which must be quick, of every run that ends from now on."""
        self._observers.append(observer)

    async def accounts_of(self, job: JobSettings) -> list[Account]:
        """Give the accounts that a job selects, whatever their state."""
        return [account for account in await self._accounts.all() if selects(job, account)]

    async def require_account(self, job: JobSettings, name: str) -> Account:
        """Give one account that a job selects.

        Raises:
            UnknownAccount: there is none of that name, or the job does not select it.
        """
        account = await self._accounts.require(name)
        if account.name not in {selected.name for selected in await self.accounts_of(job)}:
            raise UnknownAccount(name)
        return account

    async def run(
        self,
        job: JobSettings,
        account: str,
        *,
        due_at: float | None,
        since: object = None,
        until: str | None = None,
        on_claim: Callable[[Run], None] | None = None,
        on_progress: Callable[[Result], None] | None = None,
    ) -> RunEnding | None:
        """Run a job for one account, here and now.

        Args:
            job: which one.
            account: the account's name.
            due_at: the slot; None where a person asks for it.
            since: replaces the cursor, where a person asked for it.
            until: the end of the time that begins there: it is pulled in a lane of its own, beside
                the schedule and its cursor.
            on_claim: told when nobody else can have this run.
            on_progress: told after each commit.

        Returns:
            How it ended, or None: another process has the slot, or runs it now.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
            UnknownAccount: it was removed or renamed meanwhile.
        """
        await self.write_endings()
        await self._accounts.require(account)
        lane = f"{since}/{until}" if until is not None else ""
        run = await self.runs.claim(
            job.name,
            account,
            due_at,
            owner=self.owner,
            now=self._now(),
            deadline=deadline_of(job, lane),
            lane=lane,
        )
        if run is None:
            return None
        asked = Asked(since=since, until=until)
        return await self._execute(job, run, asked, on_claim=on_claim, on_progress=on_progress)

    async def execute(self, job: JobSettings, run: Run) -> RunEnding:
        """Execute a run of a job that was taken from the queue; tells how it ended."""
        since = json.loads(run.wish).get("since") if run.wish else None
        return await self._execute(job, run, Asked(since=since))

    async def _execute(
        self,
        job: JobSettings,
        run: Run,
        asked: Asked,
        *,
        on_claim: Callable[[Run], None] | None = None,
        on_progress: Callable[[Result], None] | None = None,
    ) -> RunEnding:
        """Run a child, and write down how it ended, unless somebody has taken the run over."""
        self.running[job.name] = self.running.get(job.name, 0) + 1
        began = self._now()  # here: it may have been begun hours ago, and have waited since
        logger.info("run started", extra=self._fields(run, "run.started"))
        ending = RunEnding(outcome="failed", error="a bug of Connector's", kind="Bug")
        self._under_way[run.id] = here = UnderWay(time.monotonic, on_progress)
        log = RunLog(self.runs.logs, run, self._now)
        is_ours, goes_back = True, False
        try:
            if on_claim is not None:
                on_claim(run)
            account = await self._accounts.require(run.account)
            if (refusal := refusal_of(job, account)) is not None:
                ending = refusal
            else:
                settings = OrderSettings(self._folder, self.hidden_variables, self.http)
                order = order_of(job, account, run, asked, settings)
                child = ChildRun(
                    order,
                    RunCredentials(self._credentials, self._accounts, account.id),
                    here.note,
                    fork_server=self.fork_server,
                    limits=self._limits.ledger,
                    on_line=log.add,
                )
                here.result = child.result
                async with self._limits.of_run(order):
                    told = await until_taken_over(self.runs.queue, run, child, here, log)
                is_ours = told is not None
                ending = TAKEN_OVER if told is None else ending_of(told)
        except ConnectorError as error:
            ending, goes_back = failed_by(error), isinstance(error, TemporarilyUnavailable)
        except asyncio.CancelledError:
            ending, goes_back = ending_of(here.result, interruption="the process was stopped"), True
            raise
        finally:
            del self._under_way[run.id]
            at = self._now()
            moment = at if goes_back and run.queued_at is not None else None
            if moment is None and asked.since is None:  # else who asked is told, and asks again
                moment = again_at(self.ends.jobs, job, run, ending, at)
                ending = ending if moment is None else put_off(ending, moment)
            end = End(run=run, ending=ending, at=at, log=log, again_at=moment)
            await to_its_end(self._finish(end, ending, began, is_ours=is_ours))
        return ending

    async def preview(
        self,
        job: JobSettings,
        account: Account,
        limit: int,
        *,
        since: object = None,
        on_message: Callable[[Message], None],
    ) -> Result:
        """Pull the first records of a job for one account; nothing is written, no state moves.

        Args:
            job: which one.
            account: which one.
            limit: how many records.
            since: where to begin.
            on_message: takes what comes: ``request`` (its method, its URL) and ``records`` (lines
                of JSON); no token is in it.
        """
        settings = OrderSettings(self._folder, self.hidden_variables, self.http)
        order = order_of(job, account, None, Asked(since=since), settings, preview=limit)
        child = ChildRun(
            order,
            RunCredentials(self._credentials, self._accounts, account.id),
            fork_server=self.fork_server,
            limits=self._limits.ledger,
            on_preview=on_message,
        )
        async with self._limits.of_run(order):
            return await child.run()

    async def _finish(self, end: End, ending: RunEnding, began: float, *, is_ours: bool) -> None:
        """Write down how a run ended; where the store is away, before the next run begins.

        Args:
            end: of a run.
            ending: likewise, for observers.
            began: when it did here (seconds since the epoch).
            is_ours: nobody has taken it over, as far as we know.
        """
        run = end.run
        level = logging.INFO if ending.outcome == "succeeded" else logging.WARNING
        self.running[run.job] -= 1
        if not is_ours:
            logger.warning(ending.error, extra=self._fields(run, "run.taken_over"))
            return
        logger.log(
            level,
            ending.error or "run finished",
            extra={
                **self._fields(run, "run.finished"),
                "outcome": ending.outcome,
                "records": ending.records,
                "seconds": round(end.at - began, 2),
            },
        )
        noted = ending
        if ending.rejected:
            extra = {**self._fields(run, "job.rejected"), "count": ending.rejected}
            logger.warning(ending.told_rejected, extra=extra)
            noted = replace(ending, error=ending.error or ending.told_rejected)
        for observer in self._observers:
            observer(replace(run, started_at=began), ending, max(0.0, end.at - began))
        try:
            await self.ends.write(replace(end, ending=summed(run, noted)))
        except TemporarilyUnavailable as error:
            logger.warning(str(error), extra=self._fields(run, "run.not_noted"))

    async def write_endings(self) -> None:
        """Write how runs ended that could not be written then.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
        """
        await self.ends.write_all()

    def _fields(self, run: Run, action: str) -> dict[str, object]:
        of_run = {"account": run.account, "run": run.id, "attempt": run.attempt}
        return {"action": action, "job": run.job} | of_run
