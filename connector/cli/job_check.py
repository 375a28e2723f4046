"""The checks behind ``connector jobs check``; each gives findings and goes on."""

from collections.abc import Iterator

import click

from connector.account import Account, Active, Pending
from connector.accounts_view import last_error
from connector.cli.checkup.finding import Finding
from connector.cli.destination_check import check_destination
from connector.cli.job_run import make_runner, why_inactive
from connector.cli.main import printable_line
from connector.cli.session import opened
from connector.errors import ConfigurationError, ConnectorError
from connector.jobs.granted import missing_scopes
from connector.jobs.import_check import import_failure
from connector.pulls.reading import load_pull
from connector.pulls.spec import Pull
from connector.settings import JobSettings, Settings
from connector.web.job_views import schedule_of

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


async def examine_job(settings: Settings, job: JobSettings) -> list[Finding]:
    """Run all checks of a job; the configuration itself has been read without a problem."""
    findings = [_finding("configuration", f"{settings.path} has no problems")]
    findings += [_check_work(settings, job), check_destination(job.destination)]
    try:
        async with opened(settings) as runtime:
            is_paused = job.name in await runtime.runs.paused()
            findings.append(_check_schedule(job, is_paused=is_paused))
            accounts = await make_runner(runtime).accounts_of(job)
            findings += _check_requests(settings, job, {account.provider for account in accounts})
            findings += _check_accounts(job, accounts)
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


def _check_work(settings: Settings, job: JobSettings) -> Finding:
    if job.request is not None:
        return _finding("request", f"{job.request.request.method} {job.request.request.url}")
    failure = import_failure(job.run, settings.folder, settings.hidden_variables)
    if failure is None:
        return _finding("run", f"{job.run} can be imported")
    remedy = f"modules are looked for in {settings.folder} first, then among installed packages"
    return Finding(subject="run", verdict="problem", message=failure, remedy=remedy)


def _check_requests(settings: Settings, job: JobSettings, providers: set[str]) -> Iterator[Finding]:
    """Check a declared pull by the data of each provider whose accounts it is run for."""
    for name in sorted(providers & settings.providers.keys() if job.request_table else ()):
        api, subject = settings.providers[name].api, f"request at {name}"
        try:
            pull = load_pull(
                job.request_table, api.pull.table, source=settings.path.name, job=job.name
            )
        except ConfigurationError as error:
            yield Finding(subject=subject, verdict="problem", message=str(error))
            continue
        for url in requested_urls(pull):
            if "://" not in url:
                refused = "" if api.base_url else "is relative, and there is no api.base_url"
            else:
                refused = "" if api.permits(url) else "goes where no token is sent"
            if refused:
                yield Finding(
                    subject=subject,
                    verdict="problem",
                    message=f"{url} {refused}",
                    remedy=f"see api.base_url and api_origins of providers.{name}",
                )


def requested_urls(pull: Pull) -> list[str]:
    """Give the URLs of all requests of a pull, as they are written."""
    requests = [pull.request, pull.each.request if pull.each else None]
    if pull.report is not None:
        requests += [pull.report.create, pull.report.poll, pull.report.result]
    return [request.url for request in requests if request is not None]


def _check_schedule(job: JobSettings, *, is_paused: bool) -> Finding:
    if is_paused:
        remedy = f"type: connector jobs resume {job.name}"
        return Finding(subject="schedule", verdict="warning", message="is paused", remedy=remedy)
    told = schedule_of(job) or f"none: connector jobs run {job.name} runs it"
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
            missing = missing_scopes(job, account)
            if missing:
                yield Finding(
                    subject=subject,
                    verdict="problem",
                    message=f"is left out: its consent does not grant {', '.join(missing)}",
                    remedy=f"type: connector connect {account.provider} --account {account.name}",
                    exit_code=3,
                )
                continue
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


def _finding(subject: str, message: str) -> Finding:
    return Finding(subject=subject, verdict="ok", message=message)
