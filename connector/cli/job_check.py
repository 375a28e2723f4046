"""The checks behind ``connector jobs check``; each gives findings and goes on."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import click

from connector.account import Account, Active, Pending
from connector.accounts_view import last_error
from connector.cli.checkup.finding import Finding
from connector.cli.job_run import make_runner, why_inactive
from connector.cli.main import printable_line
from connector.cli.session import opened
from connector.errors import ConnectorError
from connector.jobs.import_check import import_failure
from connector.settings import JobSettings, Settings

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


async def examine_job(settings: Settings, job: JobSettings) -> list[Finding]:
    """Run all checks of a job; the configuration itself has been read without a problem."""
    findings = [_finding("configuration", f"{settings.path} has no problems")]
    findings += [_check_callable(settings, job), _check_destination(job)]
    try:
        async with opened(settings) as runtime:
            is_paused = job.name in await runtime.runs.paused()
            findings.append(_check_schedule(job, is_paused=is_paused))
            findings += _check_accounts(job, await make_runner(runtime).accounts_of(job))
    except ConnectorError as error:
        findings.append(
            Finding(
                subject="vault", verdict="problem", message=str(error), exit_code=error.exit_code
            )
        )
    return findings


def show(findings: list[Finding]) -> None:
    """Print findings for people."""
    for finding in findings:
        mark, colour = _MARKS[finding.verdict]
        line = printable_line(f"{finding.subject}: {finding.message}")
        click.echo(f"{click.style(mark, fg=colour)} {line}")
        if finding.remedy:
            click.echo(f"    {finding.remedy}")


def exit_status(findings: list[Finding]) -> int:
    """Give the exit status: that of the first problem, or 0."""
    return next((one.exit_code for one in findings if one.verdict == "problem"), 0)


def _check_callable(settings: Settings, job: JobSettings) -> Finding:
    failure = import_failure(job.run, settings.folder, settings.hidden_variables)
    if failure is None:
        return _finding("run", f"{job.run} can be imported")
    remedy = f"modules are looked for in {settings.folder} first, then among installed packages"
    return Finding(subject="run", verdict="problem", message=failure, remedy=remedy)


def _check_schedule(job: JobSettings, *, is_paused: bool) -> Finding:
    if is_paused:
        remedy = f"type: connector jobs resume {job.name}"
        return Finding(subject="schedule", verdict="warning", message="is paused", remedy=remedy)
    told = str(job.schedule) if job.schedule else f"none: connector jobs run {job.name} runs it"
    return _finding("schedule", told)


def _check_accounts(job: JobSettings, accounts: list[Account]) -> Iterator[Finding]:
    """Check the accounts: one whose consent has ended is a problem, and so is none at all."""
    if not accounts:
        yield Finding(
            subject="accounts",
            verdict="problem",
            message=f"none matches {job.accounts.text}"
            + (f" of provider {job.provider}" if job.provider else ""),
            remedy=f"connect one first, or change account = … of jobs.{job.name}",
        )
    is_any_active = any(isinstance(account.state, Active) for account in accounts)
    for account in accounts:
        subject = f"account {account.name}"
        if isinstance(account.state, Active):
            trouble = last_error(account)
            yield Finding(
                subject=subject,
                verdict="warning" if trouble else "ok",
                message=trouble or "is active",
                remedy="nothing is lost; it is tried again" if trouble else "",
            )
            continue
        is_left_out = isinstance(account.state, Pending) and is_any_active
        yield Finding(
            subject=subject,
            verdict="warning" if is_left_out else "problem",
            message=f"is {account.state_name} and left out: {why_inactive(account)}",
            remedy=f"type: connector connect {account.provider} --account {account.name}",
            exit_code=3,
        )


def _check_destination(job: JobSettings) -> Finding:
    url = job.destination.url
    is_sqlite = url.startswith("sqlite:///")
    file = Path(url.removeprefix("sqlite:///").removeprefix("jsonl:"))
    try:
        _check_folder(file.parent)
        if is_sqlite:
            _check_database(file)
        else:
            _check_file(file)
            _check_database(file.with_name(f"{file.name}.state"))
    except (OSError, sqlite3.Error) as error:
        message = f"{file} cannot be written: {_reason(error)}"
        remedy = "check its folder and its mode, or change destination.to"
        return Finding(subject="destination", verdict="problem", message=message, remedy=remedy)
    return _finding("destination", f"{file} can be written")


def _check_folder(folder: Path) -> None:
    """Check that files can be made in a folder, or the folder itself.

    Raises:
        OSError: they cannot.
    """
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"{nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"{nearest} is not writable")


def _check_file(file: Path) -> None:
    """Check that lines can be added to a file, where there is one.

    Raises:
        OSError: they cannot.
    """
    if file.exists():
        with file.open("ab"):
            pass


def _check_database(file: Path) -> None:
    """Check that a SQLite file, where there is one, can be written; nothing is.

    Raises:
        sqlite3.Error, OSError: it cannot.
    """
    if not file.exists():
        return
    url = f"file:{quote(str(file))}?mode=rw"
    database = sqlite3.connect(url, uri=True, timeout=1.0, isolation_level=None)
    with contextlib.closing(database):
        try:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise  # another run that writes into it now says that it can be written


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _finding(subject: str, message: str) -> Finding:
    return Finding(subject=subject, verdict="ok", message=message)
