"""``connector jobs`` and ``connector jobs history``: one line for each."""

import json

from connector.store.runs import Ending
from tests.unit.cli.conftest import Commands
from tests.unit.workbench import ACCOUNT, run_apart


def note(commands: Commands, ending: Ending) -> None:
    """Have the job run once, with this ending."""

    async def work() -> None:
        async with commands.bench.runtime() as runtime:
            run = await runtime.runs.claim("pull", ACCOUNT, None, owner=runtime.owner, now=1)
            assert run is not None
            await runtime.runs.finish(run, ending, now=2)

    run_apart(work)


def test_a_run_that_took_nothing(commands: Commands) -> None:
    assert commands.run("jobs") == 0
    assert commands.out.splitlines()[1].split() == ["pull", "acme/*", "-", "-", "0", "0", "-", "-"]
    note(commands, Ending(outcome="succeeded", records=0))
    assert commands.run("jobs") == 0
    assert commands.out.splitlines()[1].split()[2:] == ["-", "-", "0", "0", "succeeded", "0"]
    assert commands.run("jobs", "--json") == 0
    assert json.loads(commands.out)[0]["records"] == 0


def test_an_error_of_several_lines(commands: Commands) -> None:
    """As runs before this version have noted them."""
    note(commands, Ending(outcome="failed", error="ValueError: the data\nis \x1b[2Jodd"))
    assert commands.run("jobs", "history") == 0
    assert len(commands.out.splitlines()) == 2
    assert commands.out.endswith("ValueError: the data\\nis \\x1b[2Jodd\n")


def test_a_paused_job(commands: Commands) -> None:
    assert commands.run("jobs", "pause", "pull") == 0
    assert commands.run("jobs", "--json") == 0
    (job,) = json.loads(commands.out)
    assert (job["next"], job["paused"]) == ("paused", True)
