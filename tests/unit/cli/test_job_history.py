"""``connector jobs log``, figures in the history, and what a backfill is asked with."""

import json

import pytest

from connector.jobs.run_log import RunLog
from connector.store.runs import Ending
from tests.unit.cli.conftest import Commands
from tests.unit.workbench import ACCOUNT, run_apart


def have_run(commands: Commands, *, lines: int = 0, **figures: object) -> str:
    """Have a run that ended, and what it said; gives its id."""
    ids: list[str] = []

    async def work() -> None:
        async with commands.bench.runtime() as runtime:
            run = await runtime.runs.claim("pull", ACCOUNT, None, owner=runtime.owner, now=1)
            assert run is not None
            log = RunLog(runtime.runs.logs, run, lambda: 1.0)
            for number in range(1, lines + 1):
                log.add("info", f"line {number}\x1b[2J")
            await log.flush()
            await runtime.runs.finish(
                run,
                Ending(outcome="succeeded", **figures),  # type: ignore[arg-type]
                now=2,
            )
            ids.append(run.id)

    run_apart(work)
    return ids[0]


def test_the_log_of_a_run(commands: Commands) -> None:
    run = have_run(commands, lines=2)
    assert commands.run("jobs", "log", run) == 0
    first, second = commands.out.splitlines()
    assert first == "1970-01-01T00:00:01Z info     line 1\\x1b[2J"
    assert second.endswith("line 2\\x1b[2J")
    assert commands.run("jobs", "log", run, "--json") == 0
    told = json.loads(commands.out)
    assert [(line["number"], line["kind"]) for line in told] == [(1, "info"), (2, "info")]


def test_lines_that_are_not_kept_are_counted(commands: Commands) -> None:
    run = have_run(commands, lines=1200)
    assert commands.run("jobs", "log", run) == 0
    lines = commands.out.splitlines()
    assert (len(lines), lines[500]) == (1001, "… 200 lines are not kept …")


def test_a_run_that_has_said_nothing(commands: Commands) -> None:
    run = have_run(commands)
    assert commands.run("jobs", "log", run) == 0
    assert (commands.out, commands.err) == ("", "connector: this run has said nothing\n")


def test_the_log_of_no_run(commands: Commands) -> None:
    assert commands.run("jobs", "log", "nothing") == 2
    assert "there is no run 'nothing'" in commands.err


def test_figures_have_a_column_where_there_are_any(commands: Commands) -> None:
    run = have_run(commands, records=3)
    assert commands.run("jobs", "history") == 0
    names = commands.out.splitlines()[0].split()
    assert names[:6] == ["started", "job", "account", "outcome", "records", "took"]
    assert names[6:] == ["host", "run", "error"]
    assert commands.out.split()[-2] == run
    have_run(commands, pages=7, rejected=2, waited=1.5)
    assert commands.run("jobs", "history") == 0
    names = commands.out.splitlines()[0].split()
    assert names[6:9] == ["pages", "rejected", "waited"]
    assert {("7", "2", "1.5 s"), ("-", "-", "-")} == {
        tuple(part.strip() for part in line.split("  ") if part.strip())[6:9]
        for line in commands.out.splitlines()[1:]
    }


def test_an_end_needs_a_begin(commands: Commands) -> None:
    assert commands.run("jobs", "run", "pull", "--until", "2025-02-01") == 2
    assert "--until needs --since" in commands.err
    backfill = ("--since", "2025-01-01", "--until", "2025-02-01")
    assert commands.run("jobs", "run", "pull", *backfill, "--preview", "3") == 2
    assert "--until ends a backfill" in commands.err


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2025-02-01", "2025-01-01"),
        ("2025-02-01", "2025-02-01"),
        ("2025-02-01T01:00:00+02:00", "2025-01-31T23:00:00Z"),
        ("2025-02-01", "2025-01-31T23:59:59.9Z"),
        ("-7d", "-28d"),
        ("100", "20"),
    ],
)
def test_a_time_that_ends_before_it_begins(commands: Commands, since: str, until: str) -> None:
    assert commands.run("jobs", "run", "pull", "--since", since, "--until", until) == 2
    assert f"--since {since} is not before --until {until}" in commands.err


@pytest.mark.parametrize(
    ("since", "until"),
    [("2025-01-01", "2025-02-01"), ("-28d", "-7d"), ("20", "100"), ("b", "a"), ("9", "x")],
)
def test_what_may_be_a_time_is_its_function_s_business(
    commands: Commands, since: str, until: str
) -> None:
    commands.bench.connect_apart()
    commands.write("def pull(api, context): return [{'id': context.window.until}]")
    assert commands.run("jobs", "run", "pull", "--since", since, "--until", until) == 0
