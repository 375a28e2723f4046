"""Runs of a job that a person asks for: a line for each account, and one exit status of all."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

import click

from connector import errors
from connector.account import Account, Active, ConsentRequired
from connector.cli.main import printable_line
from connector.cli.output import counted
from connector.cli.run_display import RunDisplay
from connector.cli.session import opened
from connector.errors import ConfigurationError, ConnectorError, Problem, TemporarilyUnavailable
from connector.jobs.fork_server import ForkServer
from connector.jobs.order import Asked
from connector.jobs.run import JobRunner, RunEnding
from connector.pulls.moments import MomentError, parse_start
from connector.pulls.spec import MomentFormat
from connector.runtime import Runtime, RuntimeCredentials
from connector.settings import JobSettings, Settings

#: Which exit status is told where accounts failed in several ways: first what keeps every account
#: from running, then what only a person can mend, last what passes by itself.
PRECEDENCE: Final = (5, 2, 8, 3, 6, 1, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one account's run.

    Attributes:
        account: its name.
        line: for people.
        error: why it failed; None: it succeeded.
        exit_code: of that failure.
    """

    account: str
    line: str
    error: str | None = None
    exit_code: int = 0


async def run_all(
    settings: Settings,
    job: JobSettings,
    account: str | None,
    asked: Asked,
    fork_server: ForkServer | None,
) -> list[Outcome]:
    """Run a job and print a line as each account's run ends, and a summary.

    Args:
        settings: the configuration.
        job: which one.
        account: only this one; None: every active one that the job selects.
        asked: of each run.
        fork_server: starts their processes; None: each is started anew.

    Raises:
        ConfigurationError: the job selects no account.
        ConsentRequired: it selects none that is active.
        UnknownAccount: there is no such account, or the job does not select it.
        VaultSealed, TemporarilyUnavailable: as `open_runtime`.
    """
    async with opened(settings) as runtime:
        runner = make_runner(runtime)
        runner.fork_server = fork_server
        selected = await select(settings, runner, job, account)
        with contextlib.closing(runner), RunDisplay(job.name, len(selected)) as display:
            runs = (_run_one(runner, job, one.name, asked, display) for one in selected)
            # a bug in one run is told when the others have ended
            results = await asyncio.gather(*runs, return_exceptions=True)
    outcomes: list[Outcome] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        outcomes.append(result)
    succeeded = sum(outcome.error is None for outcome in outcomes)
    display.line(f"{job.name}: {succeeded} of {len(outcomes)} succeeded")
    return outcomes


def make_runner(runtime: Runtime) -> JobRunner:
    """Make what runs jobs in this process."""
    runner = JobRunner(
        accounts=runtime.accounts,
        runs=runtime.runs,
        credentials=RuntimeCredentials(runtime),
        folder=runtime.settings.folder,
        hidden_variables=runtime.settings.hidden_variables,
        owner=runtime.owner,
        now=runtime.now,
    )
    runner.http, runner.ends.jobs = runtime.settings.http, runtime.settings.jobs
    return runner


def exit_status(job: str, outcomes: Sequence[Outcome]) -> int:
    """Give the exit status of all runs; the failure that it tells is named on standard error."""
    failures = [outcome for outcome in outcomes if outcome.error is not None]
    if not failures:
        return 0
    telling = min(failures, key=lambda outcome: PRECEDENCE.index(outcome.exit_code))
    line = f"connector: job {job} failed for {telling.account}: {telling.error}"
    click.echo(printable_line(line), err=True)
    return telling.exit_code


async def select(
    settings: Settings, runner: JobRunner, job: JobSettings, account: str | None
) -> list[Account]:
    """Give the accounts to run for; those that are left out are told on standard error."""
    if account is not None:
        return [await runner.require_account(job, account)]
    selected = await runner.accounts_of(job)
    if not selected:
        remedy = "connect one first, or change account = …"
        key = f"jobs.{job.name}"
        raise ConfigurationError([Problem(settings.path.name, key, "selects no account", remedy)])
    active = [one for one in selected if isinstance(one.state, Active)]
    if not active:
        first = selected[0]
        raise errors.ConsentRequired(first.name, why_inactive(first), provider=first.provider)
    for one in selected:
        if one not in active:
            click.echo(f"connector: {one.name} is left out: {why_inactive(one)}", err=True)
    return active


def why_inactive(account: Account) -> str:
    """Say why an account is not active."""
    if isinstance(account.state, ConsentRequired):
        return account.state.reason
    return "nobody has consented yet"


async def _run_one(
    runner: JobRunner, job: JobSettings, account: str, asked: Asked, display: RunDisplay
) -> Outcome:
    """Run one account and print its line."""
    try:
        ending = await runner.run(
            job,
            account,
            due_at=None,
            since=asked.since,
            until=asked.until,
            on_progress=lambda result: display.note(account, result),
        )
    except ConnectorError as error:
        outcome = _refused(account, "failed", error)
    else:
        if ending is None:
            busy = TemporarilyUnavailable("another process runs it now")
            outcome = _refused(account, "not run", busy)
        else:
            outcome = _ended(account, ending)
    display.end(account, outcome.line)
    return outcome


def _refused(account: str, what: str, error: ConnectorError) -> Outcome:
    line = f"{account}: {what}: {error}"
    return Outcome(account=account, line=line, error=str(error), exit_code=error.exit_code)


def _ended(account: str, ending: RunEnding) -> Outcome:
    line = f"{account}: {ending.outcome}, {counted(ending.records, 'record')}"
    if ending.rejected:
        line += f", {ending.told_rejected}"
    if ending.kind is None:
        return Outcome(account=account, line=line)
    error = ending.error or ending.outcome
    return Outcome(
        account=account, line=f"{line}: {error}", error=error, exit_code=exit_code_of(ending.kind)
    )


def exit_code_of(kind: str) -> int:
    """Give the exit status of a kind of failure: that of our error of this name, else 1."""
    error = getattr(errors, kind, None)
    is_ours = isinstance(error, type) and issubclass(error, ConnectorError)
    return error.exit_code if is_ours else 1  # type: ignore[union-attr]


def is_not_before(since: str, until: str, now: datetime) -> bool:
    """Tell whether a time ends before it begins, as far as its ends can be compared.

    A function takes what it likes: numbers, dates, moments with an offset and lengths of time
    (``-28d``) are compared with their like, anything else is its own business.

    Args:
        since: the begin.
        until: the end.
        now: with its time zone.
    """
    with contextlib.suppress(InvalidOperation):
        begin, end = Decimal(since), Decimal(until)
        return begin.is_finite() and end.is_finite() and begin >= end
    with contextlib.suppress(MomentError):
        form = MomentFormat(kind="datetime")
        return str(parse_start(form, since, now)) >= str(parse_start(form, until, now))
    return False
