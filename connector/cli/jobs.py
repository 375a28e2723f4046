"""``connector jobs``: list, check, run, pause and resume data pulls; show their history."""

import difflib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from connector.cli.core_dumps import forbid_core_dumps
from connector.cli.main import printable_line
from connector.cli.options import common_options, json_option, option
from connector.cli.output import print_json, print_table
from connector.cli.session import load, opened, run_async
from connector.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from connector.settings import JobSettings, Settings
    from connector.store.queued_runs import OpenCounts
    from connector.store.runs import Run


@click.group(invoke_without_command=True)
@common_options
@json_option
@click.pass_context
def jobs(context: click.Context, config: str | None, *, json: bool) -> None:
    """List the jobs: schedule, next due time, runs in the queue and under way, last outcome."""
    if context.invoked_subcommand is not None:
        return
    from connector.store.queued_runs import NONE_OPEN
    from connector.web.job_views import job_view

    settings = load(config)

    async def work() -> tuple[dict[str, "Run"], frozenset[str], "OpenCounts", float]:
        async with opened(settings) as runtime:
            runs = runtime.runs
            return await runs.latest(), await runs.paused(), await runs.queue.count(), runtime.now()

    latest, paused, counts, now = run_async(work())
    views = [
        job_view(job, latest.get(name), is_paused=name in paused, now=now)
        | dict(counts.get(name, NONE_OPEN))
        | ({"next": "paused"} if name in paused else {})
        for name, job in settings.jobs.items()
    ]
    if json:
        print_json(views)
        return
    columns = (
        "job",
        "accounts",
        "schedule",
        "next",
        "queued",
        "running",
        "last outcome",
        "records",
    )
    rows = [[_cell(view[column.replace(" ", "_")]) for column in columns] for view in views]
    print_table(columns, rows, empty="No jobs. Declare one: [jobs.NAME] in config.toml")


@jobs.command()
@click.argument("job")
@option("--account", help="Only this account, whatever its state.")
@option("--since", help="Begin there instead of at the cursor of the last run.")
@option("--until", help="Pull the time from --since to there, beside the schedule.")
@option(
    "--preview",
    type=click.IntRange(1, 1000),
    help="Show the first so many records of each account; write nothing.",
)
@common_options
def run(
    job: str,
    account: str | None,
    since: str | None,
    until: str | None,
    preview: int | None,
    config: str | None,
) -> None:
    """Run JOB now, for every active account that it selects.

    With --since and --until it is a backfill: it neither reads nor moves the cursor of the
    schedule, whose runs go on meanwhile. The same command again goes on where it stopped.

    With --preview it is begun where a first run would begin, nothing is written, and no cursor
    moves: records are printed as JSON lines, or as a table on a terminal, and the requests that
    were sent on standard error.

    The exit status is 0 where every run succeeded. Where runs failed it is 2 for the configuration,
    3 where a person must consent, 4 where the provider is away or another process runs the job now,
    5 for a sealed vault, 6 for what is not permitted, 8 for a rejected client registration, and 1
    where the job's function failed, was killed or could not write. Where accounts failed in several
    ways, the first of 5, 2, 8, 3, 6, 1, 4 is told: what needs a person goes before what passes.
    """
    from connector.jobs.fork_server import warmed_up

    if until is not None and since is None:
        raise click.UsageError("--until needs --since: the begin of the time that is pulled")
    if until is not None and preview is not None:
        raise click.UsageError("--until ends a backfill; --preview shows the first records alone")
    settings = load(config)
    chosen = _require(settings, job)
    if until is not None and chosen.request is None:  # a declared pull looks by its own format
        _require_order(str(since), until)
    forbid_core_dumps()  # of the processes that are started from here on too
    with warmed_up() as fork_server:
        from connector.cli.job_preview import preview_all
        from connector.cli.job_run import exit_status, run_all
        from connector.jobs.order import Asked

        if preview is not None:
            pulled = preview_all(settings, chosen, account, since, preview, fork_server)
        else:
            asked = Asked(since=since, until=until)
            pulled = run_all(settings, chosen, account, asked, fork_server)
        outcomes = run_async(pulled)
    raise click.exceptions.Exit(exit_status(job, outcomes))


def _require_order(since: str, until: str) -> None:
    """Refuse a time that ends before it begins."""
    from connector.cli.job_run import is_not_before

    if is_not_before(since, until, datetime.now(UTC)):
        raise click.UsageError(f"--since {since} is not before --until {until}")


@jobs.command()
@click.argument("job", required=False)
@option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many.")
@common_options
@json_option
def history(job: str | None, limit: int, config: str | None, *, json: bool) -> None:
    """Show the last runs, of JOB or of all jobs.

    The table has a column for pages, bytes, tokens, retries, rejected, waited, attempt and lane
    where one of the runs has something to tell there.
    """
    from connector.cli.job_history import table_of
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
    columns, rows = table_of(runs)
    print_table(columns, rows, empty="No runs yet.")


@jobs.command()
@click.argument("run")
@common_options
@json_option
def log(run: str, config: str | None, *, json: bool) -> None:
    """Show what RUN has said; its id stands in the history and in the daemon's log.

    The first 500 lines and the newest 500 are kept, for as long as the run is.
    """
    from connector.cli.job_history import log_lines, log_text
    from connector.web.job_views import log_view

    settings = load(config)
    if (found := run_async(log_lines(settings, run))) is None:
        raise click.UsageError(f"there is no run {run!r}; type: connector jobs history")
    if json:
        print_json([log_view(line) for line in found])
        return
    for text in log_text(found):
        click.echo(text)
    if not found:
        click.echo("connector: this run has said nothing", err=True)


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
    """Keep JOB from running on its schedule.

    A run under way goes on to its end; one that waits, or is interrupted, waits until JOB is
    resumed.
    """
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
            await runtime.runs.resume(job, now=runtime.now())

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
