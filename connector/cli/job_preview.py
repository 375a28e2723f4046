"""The first records of a job, shown: nothing is written, and no cursor moves."""

import json
import sys
from typing import TYPE_CHECKING, Final, cast

import click

from connector.cli.job_run import Outcome, exit_code_of, make_runner, select
from connector.cli.main import printable_line
from connector.cli.output import counted, print_table
from connector.cli.session import opened
from connector.jobs.fork_server import ForkServer
from connector.settings import JobSettings, Settings

if TYPE_CHECKING:
    from connector.account import Account
    from connector.jobs.run import JobRunner

#: What is shown of a value in a table.
_LONGEST_CELL: Final = 40


async def preview_all(
    settings: Settings,
    job: JobSettings,
    account: str | None,
    since: str | None,
    limit: int,
    fork_server: ForkServer | None,
) -> list[Outcome]:
    """Show the first records of each account: JSON lines, or a table on a terminal.

    Args:
        settings: the configuration.
        job: which one.
        account: only this one; None: every active one that the job selects.
        since: where to begin.
        limit: how many records of each account.
        fork_server: starts their processes; None: each is started anew.

    Raises:
        ConfigurationError, ConsentRequired, UnknownAccount: as `job_run.run_all`.
        VaultSealed, TemporarilyUnavailable: as `open_runtime`.
    """
    async with opened(settings) as runtime:
        runner = make_runner(runtime)
        runner.fork_server = fork_server
        try:
            selected = await select(settings, runner, job, account)
            return [await _preview(runner, job, one, since, limit) for one in selected]
        finally:
            runner.close()


async def _preview(
    runner: "JobRunner", job: JobSettings, account: "Account", since: str | None, limit: int
) -> Outcome:
    records: list[str] = []

    def take(message: dict[str, object]) -> None:
        if message["type"] == "request":
            _say(f"{account.name}: {message['method']} {message['url']}")
        elif "rejected" in message:
            _say(f"{account.name}: a record would be set aside: it {message['rejected']}")
        else:
            records.extend(cast("list[str]", message["lines"]))

    result = await runner.preview(job, account, limit, since=since, on_message=take)
    _show(account.name, records)
    line = f"{account.name}: {counted(len(records), 'record')}, not written"
    error = None if result.kind is None else " ".join((result.error or result.kind).split())
    _say(line if error is None else f"{line}: {error}")
    exit_code = 0 if result.kind is None else exit_code_of(result.kind)
    return Outcome(account=account.name, line=line, error=error, exit_code=exit_code)


def _say(line: str) -> None:
    click.echo(printable_line(line), err=True)


def _show(account: str, records: list[str]) -> None:
    if not sys.stdout.isatty():
        for line in records:
            click.echo(line)
        return
    rows = [cast("dict[str, object]", json.loads(line)) for line in records]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    headings = [printable_line(name) for name in columns]
    print_table(headings, cells, empty=f"{account} has no records.")


def _cell(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = printable_line(text)
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
