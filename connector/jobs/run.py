"""One run of a job for one account: claim the slot, run the function, write down how it ended."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.account import Account
from connector.credential import CredentialSource
from connector.errors import TemporarilyUnavailable, UnknownAccount
from connector.jobs.callable import CallableRun
from connector.jobs.order import Order, Result
from connector.settings import JobSettings
from connector.store.accounts import AccountStore
from connector.store.runs import Ending, Outcome, Run, RunStore

logger = logging.getLogger(__name__)

#: How a failure of the child is written in the history; anything else is ``failed``.
_OUTCOMES: Final[dict[str | None, Outcome]] = {
    None: "succeeded",
    "ConsentRequired": "consent_required",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnding(Ending):
    """How a run ended, for whoever asked for it.

    Attributes:
        kind: of the failure: the name of an error of ours, or another word; None: it succeeded.
    """

    kind: str | None = None


#: Is told of a run that has ended, how, and after how many seconds.
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
        self._owner = owner
        self._now = now
        self.running: dict[str, int] = {}  # by job, in this process
        self._unwritten: dict[str, tuple[Run, Ending, float]] = {}
        self._under_way: dict[str, Result] = {}
        self._observers: list[Observer] = []

    def progress(self, run_id: str) -> Result | None:
        """Give what a run that is under way in this process has committed so far."""
        return self._under_way.get(run_id)

    def tell_to(self, observer: Observer) -> None:
        """Tell an observer, which must be quick, of every run that ends from now on."""
        self._observers.append(observer)

    async def accounts_of(self, job: JobSettings) -> list[Account]:
        """Give the accounts that a job selects, whatever their state."""
        return [
            account
            for account in await self._accounts.all()
            if job.accounts.matches(account.name) and job.provider in {None, account.provider}
        ]

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
        on_claim: Callable[[Run], None] | None = None,
        on_progress: Callable[[Result], None] | None = None,
    ) -> RunEnding | None:
        """Run a job for one account.

        Args:
            job: which one.
            account: the account's name.
            due_at: the slot; None where a person asks for it.
            since: replaces the cursor, where a person asked for it.
            on_claim: told when nobody else can have this run.
            on_progress: told after each commit.

        Returns:
            How it ended, or None: another process has the slot, or runs it now.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
            UnknownAccount: it was removed or renamed meanwhile.
        """
        await self._write_endings()
        account_id = (await self._accounts.require(account)).id
        run = await self.runs.claim(
            job.name,
            account,
            due_at,
            owner=self._owner,
            now=self._now(),
            deadline=job.deadline,
        )
        if run is None:
            return None
        self.running[job.name] = self.running.get(job.name, 0) + 1
        logger.info("run started", extra=self._fields(run, "run.started"))
        child = CallableRun(
            self._order(job, run, account_id, since), self._credentials, on_progress
        )
        ending = RunEnding(outcome="failed", error="a bug of Connector's", kind="Bug")
        self._under_way[run.id] = child.result
        try:
            if on_claim is not None:
                on_claim(run)
            ending = _ending(await child.run())
        except asyncio.CancelledError:
            ending = _ending(child.result, interruption="the process was stopped")
            raise
        finally:
            del self._under_way[run.id]
            await asyncio.shield(self._finish(run, ending))
        return ending

    async def _finish(self, run: Run, ending: RunEnding) -> None:
        """Write down how a run ended; where the store is away, before the next run begins."""
        level = logging.INFO if ending.outcome == "succeeded" else logging.WARNING
        logger.log(
            level,
            ending.error or "run finished",
            extra={
                **self._fields(run, "run.finished"),
                "outcome": ending.outcome,
                "records": ending.records,
                "seconds": round(self._now() - run.started_at, 2),
            },
        )
        self.running[run.job] -= 1
        for observer in self._observers:
            observer(run, ending, max(0.0, self._now() - run.started_at))
        self._unwritten[run.id] = (run, ending, self._now())
        try:
            await self._write_endings()
        except TemporarilyUnavailable as error:
            logger.warning(str(error), extra=self._fields(run, "run.not_noted"))

    async def _write_endings(self) -> None:
        for run, ending, at in list(self._unwritten.values()):
            await self.runs.finish(run, ending, now=at)
            self._unwritten.pop(run.id, None)

    def _order(self, job: JobSettings, run: Run, account_id: str, since: object) -> Order:
        return Order(
            run=job.run,
            folder=self._folder,
            job=job.name,
            account=run.account,
            account_id=account_id,
            run_id=run.id,
            destination=job.destination.url,
            table=job.destination.table,
            key=job.destination.key,
            since=since,
            options=job.options,
            deadline=job.deadline,
            hidden_variables=self.hidden_variables,
        )

    def _fields(self, run: Run, action: str) -> dict[str, object]:
        return {"action": action, "job": run.job, "account": run.account, "run": run.id}


def _ending(result: Result, *, interruption: str | None = None) -> RunEnding:
    """Give what is written of a child's result; its error in one line, as lists show it."""
    told = interruption or result.error
    outcome = _OUTCOMES.get(result.kind, "failed")
    return RunEnding(
        kind=result.kind,
        outcome="interrupted" if interruption else outcome,
        records=result.records,
        batches=result.batches,
        tokens=result.tokens,
        error=None if told is None else " ".join(told.split()),
        cursor=result.cursor,
    )
