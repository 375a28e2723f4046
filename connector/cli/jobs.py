"""``connector jobs``: list, check, run, pause and resume data pulls; show their history."""

import difflib
from typing import TYPE_CHECKING

import click

from connector.cli.main import printable_line
from connector.cli.options import common_options, json_option, option
from connector.cli.output import print_json, print_table
from connector.cli.session import load, opened, run_async
from connector.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from connector.settings import JobSettings, Settings
    from connector.store.runs import Run


@click.group(invoke_without_command=True)
@common_options
@json_option
@click.pass_context
def jobs(context: click.Context, config: str | None, *, json: bool) -> None:
    """List the jobs: schedule, next due time and last outcome."""
    if context.invoked_subcommand is not None:
        return
    from connector.web.job_views import job_view

    settings = load(config)

    async def work() -> tuple[dict[str, "Run"], frozenset[str], float]:
        async with opened(settings) as runtime:
            return await runtime.runs.latest(), await runtime.runs.paused(), runtime.now()

    latest, paused, now = run_async(work())
    views = [
        job_view(job, latest.get(name), is_paused=name in paused, now=now)
        | ({"next": "paused"} if name in paused else {})
        for name, job in settings.jobs.items()
    ]
    if json:
        print_json(views)
        return
    columns = ("job", "accounts", "schedule", "next", "last outcome", "records")
    rows = [[_cell(view[column.replace(" ", "_")]) for column in columns] for view in views]
    print_table(columns, rows, empty="No jobs. Declare one: [jobs.NAME] in config.toml")


@jobs.command()
@click.argument("job")
@option("--account", help="Only this account, whatever its state.")
@option("--since", help="Begin there instead of at the cursor of the last run.")
@common_options
def run(job: str, account: str | None, since: str | None, config: str | None) -> None:
    """Run JOB now, for every active account that it selects.

    The exit status is 0 where every run succeeded. Where runs failed it is 2 for the configuration,
    3 where a person must consent, 4 where the provider is away or another process runs the job now,
    5 for a sealed vault, 6 for what is not permitted, 8 for a rejected client registration, and 1
    where the job's function failed, was killed or could not write. Where accounts failed in several
    ways, the first of 5, 2, 8, 3, 6, 1, 4 is told: what needs a person goes before what passes.
    """
    from connector.cli.job_run import exit_status, run_all

    settings = load(config)
    chosen = _require(settings, job)
    outcomes = run_async(run_all(settings, chosen, account, since))
    raise click.exceptions.Exit(exit_status(job, outcomes))


@jobs.command()
@click.argument("job", required=False)
@option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@common_options
@json_option
def history(job: str | None, limit: int, config: str | None, *, json: bool) -> None:
    """Show the last runs, of JOB or of all jobs."""
    from connector.web.job_views import run_view

    settings = load(config)
    if job is not None:
        _require(settings, job)

    async def work() -> list["Run"]:
        async with opened(settings) as runtime:
            return await runtime.runs.history(job, limit=limit)

    runs = run_async(work())
    if json:
        print_json([run_view(one) for one in runs])
        return
    columns = ("started", "job", "account", "outcome", "records", "took", "error")
    print_table(columns, [_run_row(one) for one in runs], empty="No runs yet.")


@jobs.command()
@click.argument("job")
@common_options
@json_option
def check(job: str, config: str | None, *, json: bool) -> None:
    """Check JOB without running it, and say what to do.

    Its configuration, its function (imported in a process of its own), its destination, and the
    accounts that it selects. The exit status is 0, or that of the first problem: 2 for the
    configuration, the function or the destination, 3 where a person must consent.
    """
    from connector.cli.job_check import examine_job, exit_status, show

    settings = load(config)
    findings = run_async(examine_job(settings, _require(settings, job)))
    if json:
        print_json([finding.view() for finding in findings])
    else:
        show(findings)
    raise click.exceptions.Exit(exit_status(findings))


@jobs.command()
@click.argument("job")
@common_options
def pause(job: str, config: str | None) -> None:
    """Keep JOB from running on its schedule."""
    settings = load(config)
    _require(settings, job)

    async def work() -> None:
        async with opened(settings) as runtime:
            await runtime.runs.pause(job, now=runtime.now())

    run_async(work())
    click.echo(f"{job}: paused")


@jobs.command()
@click.argument("job")
@common_options
def resume(job: str, config: str | None) -> None:
    """Let JOB run on its schedule again."""
    settings = load(config)
    _require(settings, job)

    async def work() -> None:
        async with opened(settings) as runtime:
            await runtime.runs.resume(job)

    run_async(work())
    click.echo(f"{job}: resumed")


def _require(settings: "Settings", name: str) -> "JobSettings":
    if name in settings.jobs:
        return settings.jobs[name]
    nearest = difflib.get_close_matches(name, settings.jobs, n=1)
    remedy = f"did you mean {nearest[0]}?" if nearest else "declare it in config.toml"
    raise ConfigurationError(
        [Problem(settings.path.name, f"jobs.{name}", f"there is no job {name!r}", remedy)]
    )


def _cell(value: object) -> str:
    """Show a value in a table; what is not known as a dash."""
    return "-" if value is None else printable_line(str(value))


def _run_row(run: "Run") -> list[str]:
    from connector.moment import rfc3339

    took = "-" if run.finished_at is None else f"{run.finished_at - run.started_at:.1f} s"
    return [
        rfc3339(run.started_at) or "-",
        run.job,
        run.account,
        run.outcome,
        str(run.records),
        took,
        _cell(run.error),
    ]
