"""``connector jobs run``: which accounts, what is printed, and the exit status."""

import os
import sqlite3
import time
from contextlib import closing

import pytest

from connector.cli.job_run import Outcome, exit_status
from connector.store.queued_runs import Wish
from tests.unit.cli.conftest import JOB, Commands
from tests.unit.workbench import ACCOUNT, dead_owner, run_apart

ONE = "def pull(api, context): return [{'id': 1}]"
FAILING = """
def pull(api, context):
    raise ValueError("the data is odd")
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run takes so long that something is told on the way, on a busy machine either."""
    monkeypatch.setattr("connector.cli.run_display._QUIET", 600.0)


def claim(commands: Commands, owner: str | None = None) -> None:
    """Have a run of the job under way in another process."""

    async def work() -> None:
        async with commands.bench.runtime() as runtime:
            who = owner or runtime.owner
            await runtime.runs.claim("pull", ACCOUNT, None, owner=who, now=time.time())

    run_apart(work)


SECOND = """
[jobs.second]
account = "acme/*"
after = "pull"
run = "pulls:pull"
destination = { to = "sqlite:///ads.db", table = "second", key = ["id"] }
"""


def test_a_run_of_a_schedule_that_waited_is_followed_by_what_follows_it(
    commands: Commands,
) -> None:
    """It is the slot's run, whoever begins it; one that nobody waited for would follow no more."""
    commands.bench.connect_apart()
    commands.configure(
        JOB.replace('run = "pulls:pull"', 'run = "pulls:pull"\nschedule = "every 1d"') + SECOND
    )
    commands.write(ONE)

    async def wait() -> None:
        async with commands.bench.runtime() as runtime:
            wishes = [Wish(account=ACCOUNT, delay=1800)]
            await runtime.runs.queue.put("pull", wishes, due_at=1e9, now=time.time())

    async def look() -> None:
        async with commands.bench.runtime() as runtime:
            found = await runtime.runs.history(None, limit=9)
            assert {(one.job, one.outcome, one.due_at) for one in found} == {
                ("pull", "succeeded", 1e9),
                ("second", "queued", 1e9),
            }

    run_apart(wait)
    assert commands.run("jobs", "run", "pull") == 0
    run_apart(look)


class TestExitStatus:
    def test_done(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.write(ONE)
        assert commands.run("jobs", "run", "pull") == 0
        assert commands.out == "acme/ads: succeeded, 1 record\npull: 1 of 1 succeeded\n"
        assert commands.err == ""

    def test_the_function_fails(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.write(FAILING)
        assert commands.run("jobs", "run", "pull") == 1
        place = f"({commands.bench.folder}/pulls.py, line 3)"
        error = f"ValueError: the data is odd {place}"
        assert commands.out.splitlines()[0] == f"acme/ads: failed, 0 records: {error}"
        assert commands.err == f"connector: job pull failed for acme/ads: {error}\n"

    def test_the_provider_is_away(self, commands: Commands) -> None:
        commands.bench.connect_apart(is_expired=True)
        commands.bench.fault("status", times=None)
        commands.write(ONE)
        assert commands.run("jobs", "run", "pull") == 4
        assert "job pull failed for acme/ads: " in commands.err
        assert "Try again at 2" in commands.err

    def test_a_wrong_client_secret(self, commands: Commands) -> None:
        commands.bench.connect_apart(is_expired=True)
        (commands.bench.folder / "acme.secret").write_text("wrong")
        commands.write(ONE)
        assert commands.run("jobs", "run", "pull") == 8
        assert "rejects our client registration" in commands.err

    def test_a_provider_that_is_not_configured(self, commands: Commands) -> None:
        commands.bench.connect_apart(is_expired=True)
        commands.configure(replace=("[providers.acme]", "[providers.other]"))
        commands.write(ONE)
        assert commands.run("jobs", "run", "pull") == 2
        assert "providers.acme" in commands.err

    def test_a_sealed_vault(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        (commands.bench.folder / "root.key").write_text("00" * 32)
        assert commands.run("jobs", "run", "pull") == 5
        assert "The vault is sealed" in commands.err

    def test_another_process_runs_it(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.write(ONE)
        claim(commands)
        assert commands.run("jobs", "run", "pull") == 4
        assert commands.out.startswith("acme/ads: not run: another process runs it now.")
        assert "another process runs it now. Try again later." in commands.err

    def test_a_process_that_is_gone_keeps_nobody_waiting(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.write(ONE)
        claim(commands, dead_owner())
        assert commands.run("jobs", "run", "pull") == 0

    def test_a_consent_that_ended(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.bench.simulator.state.revoke("ada")
        commands.write("def pull(api, context):\n    api.get('me').raise_for_status()")
        assert commands.run("jobs", "run", "pull") == 3
        assert "connector connect acme --account acme/ads" in commands.err

    def test_a_request_to_another_origin(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.write("def pull(api, context):\n    api.get('https://elsewhere.example/')")
        assert commands.run("jobs", "run", "pull") == 6
        assert "https://elsewhere.example" in commands.err

    @pytest.mark.parametrize(
        ("statuses", "told"),
        [
            ((0, 0), 0),
            ((0, 4), 4),
            ((4, 1), 1),
            ((1, 3, 4), 3),
            ((3, 8), 8),
            ((1, 6), 6),
            ((6, 3), 3),
            ((8, 2, 3), 2),
            ((2, 5), 5),
        ],
    )
    def test_the_most_telling_one(
        self, statuses: tuple[int, ...], told: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        outcomes = [
            Outcome(account=f"a{code}", line="", error="odd" if code else None, exit_code=code)
            for code in statuses
        ]
        assert exit_status("pull", outcomes) == told
        expected = f"connector: job pull failed for a{told}: odd\n" if told else ""
        assert capsys.readouterr().err == expected

    def test_what_a_terminal_would_obey_is_shown(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.write("def pull(api, context): raise ValueError('\\x1b[2J')")
        assert commands.run("jobs", "run", "pull") == 1
        assert "\x1b" not in commands.out + commands.err
        assert "\\x1b[2J" in commands.out


class TestAccounts:
    def pending(self, commands: Commands, name: str = "acme/asked") -> None:
        async def work() -> None:
            async with commands.bench.runtime() as runtime:
                await runtime.consents.begin("acme", name)

        run_apart(work)

    def ended(self, commands: Commands, name: str) -> None:
        commands.bench.connect_apart(name, person="grace")
        assert commands.run("revoke", name) == 0

    def test_only_active_ones(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        self.pending(commands)
        self.ended(commands, "acme/ended")
        commands.write(ONE)
        assert commands.run("jobs", "run", "pull") == 0
        assert commands.out == "acme/ads: succeeded, 1 record\npull: 1 of 1 succeeded\n"
        assert commands.err.splitlines() == [
            "connector: acme/asked is left out: nobody has consented yet",
            "connector: acme/ended is left out: revoked by its owner here",
        ]

    def test_one_that_is_named(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        self.pending(commands)
        commands.write(ONE)
        assert commands.run("jobs", "run", "pull", "--account", "acme/asked") == 3
        assert commands.out.splitlines()[-1] == "pull: 0 of 1 succeeded"
        assert "connector connect acme --account acme/asked" in commands.err

    def test_none_is_active(self, commands: Commands) -> None:
        self.pending(commands)
        assert commands.run("jobs", "run", "pull") == 3
        assert "Account acme/asked needs consent: nobody has consented yet" in commands.err

    def test_none_is_selected(self, commands: Commands) -> None:
        commands.bench.connect_apart("beta/ads")
        assert commands.run("jobs", "run", "pull") == 2
        assert "jobs.pull: selects no account (connect one first" in commands.err
        assert commands.run("jobs", "run", "pull", "--account", "beta/ads") == 6


class TestReader:
    def test_one_that_goes_away_ends_no_run(
        self, commands: Commands, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in ``connector jobs run pull | head -1``."""
        commands.bench.connect_apart()
        commands.bench.connect_apart("acme/other", person="grace")
        commands.write(
            """
            import time
            def pull(api, context):
                if context.account == "acme/other":
                    time.sleep(1)
                return [{"id": 1}]
            """
        )
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as gone:
            monkeypatch.setattr("sys.stdout", gone)
            assert commands.run("jobs", "run", "pull") == 0
        monkeypatch.undo()
        with closing(sqlite3.connect(commands.bench.folder / "ads.db")) as destination:
            rows = destination.execute("SELECT * FROM t").fetchall()
        assert len(rows) == 2
