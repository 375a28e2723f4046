"""``connector jobs check``: what is looked at, and the exit status."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from connector.jobs.import_check import import_failure
from tests.unit.cli.conftest import JOB, Commands
from tests.unit.workbench import run_apart

GOOD = "async def pull(api, context): yield []"


def begin(commands: Commands, name: str) -> None:
    async def work() -> None:
        async with commands.bench.runtime() as runtime:
            await runtime.consents.begin("acme", name)

    run_apart(work)


class TestCheck:
    def test_all_is_well(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.write(GOOD)
        assert commands.run("jobs", "check", "pull") == 0
        folder = commands.bench.folder
        assert commands.out.splitlines() == [
            f"✓ configuration: {folder}/config.toml has no problems",
            "✓ run: pulls:pull can be imported",
            f"✓ destination: {folder}/ads.db can be written",
            "✓ schedule: none: connector jobs run pull runs it",
            "✓ account acme/ads: is active",
        ]
        assert not (folder / "ads.db").exists(), "it only looks"

    def test_json(self, commands: Commands) -> None:
        commands.write("1 / 0")
        assert commands.run("jobs", "check", "pull", "--json") == 2
        found = {one["subject"]: one for one in json.loads(commands.out)}
        place = f"({commands.bench.folder}/pulls.py, line 1)"
        assert found["run"] == {
            "subject": "run",
            "verdict": "problem",
            "message": f"ZeroDivisionError: division by zero {place}",
            "remedy": f"modules are looked for in {commands.bench.folder} first, "
            "then among installed packages",
        }
        assert found["accounts"]["message"] == "none matches acme/*"

    def test_accounts(self, commands: Commands) -> None:
        commands.write(GOOD)
        begin(commands, "acme/asked")
        assert commands.run("jobs", "check", "pull") == 3, "none is active"
        assert "✗ account acme/asked: is pending" in commands.out
        commands.bench.connect_apart()
        assert commands.run("jobs", "check", "pull") == 0
        assert "! account acme/asked: is pending and left out" in commands.out
        assert commands.run("revoke", "acme/ads") == 0
        commands.bench.connect_apart("acme/other", person="grace")
        assert commands.run("jobs", "check", "pull") == 3, "a consent has ended"
        assert "✗ account acme/ads: is consent_required and left out" in commands.out
        assert "    type: connector connect acme --account acme/ads" in commands.out
        assert "✓ account acme/other: is active" in commands.out

    def test_none_matches(self, commands: Commands) -> None:
        commands.write(GOOD)
        commands.configure(JOB.replace("run =", 'provider = "facebook"\nrun ='))
        commands.bench.connect_apart()
        assert commands.run("jobs", "check", "pull") == 2
        assert "✗ accounts: none matches acme/* of provider facebook" in commands.out

    def test_paused(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.write(GOOD)
        assert commands.run("jobs", "pause", "pull") == 0
        assert commands.run("jobs", "check", "pull") == 0
        assert "! schedule: is paused\n    type: connector jobs resume pull" in commands.out

    def test_a_sealed_vault(self, commands: Commands) -> None:
        commands.write(GOOD)
        (commands.bench.folder / "root.key").write_text("00" * 32)
        assert commands.run("jobs", "check", "pull") == 5
        assert "✗ vault: The vault is sealed" in commands.out

    def test_no_such_job(self, commands: Commands) -> None:
        assert commands.run("jobs", "check", "pul") == 2
        assert "did you mean pull?" in commands.err


class TestDestination:
    def check(self, commands: Commands, to: str) -> tuple[int, str]:
        """Check a job with a destination; give the exit status and what is said of it."""
        commands.bench.connect_apart()
        commands.write(GOOD)
        commands.configure(JOB.replace("sqlite:///ads.db", to))
        status = commands.run("jobs", "check", "pull")
        (line,) = [line for line in commands.out.splitlines() if "destination:" in line]
        return status, line

    @pytest.mark.parametrize("to", ["sqlite:///file/ads.db", "jsonl:file/ads.jsonl"])
    def test_below_a_file(self, commands: Commands, to: str) -> None:
        (commands.bench.folder / "file").write_text("")
        status, line = self.check(commands, to)
        assert status == 2
        assert line.endswith("/file is no folder")

    @pytest.mark.parametrize("to", ["sqlite:///new/er/ads.db", "jsonl:new/er/ads.jsonl"])
    def test_folders_that_a_run_makes(self, commands: Commands, to: str) -> None:
        assert self.check(commands, to)[0] == 0
        assert not (commands.bench.folder / "new").exists()

    def test_no_database(self, commands: Commands) -> None:
        (commands.bench.folder / "ads.db").write_text("these are no pages" * 99)
        status, line = self.check(commands, "sqlite:///ads.db")
        assert (status, "file is not a database" in line) == (2, True)

    def test_a_folder_in_its_place(self, commands: Commands) -> None:
        (commands.bench.folder / "ads.jsonl").mkdir()
        status, line = self.check(commands, "jsonl:ads.jsonl")
        assert (status, "Is a directory" in line) == (2, True)

    def test_one_that_is_there(self, commands: Commands) -> None:
        (commands.bench.folder / "ads.jsonl").write_text("{}\n")
        assert self.check(commands, "jsonl:ads.jsonl")[0] == 0
        assert (commands.bench.folder / "ads.jsonl").read_text() == "{}\n"

    def test_one_that_a_run_writes_into_now(self, commands: Commands) -> None:
        path = commands.bench.folder / "ads.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("CREATE TABLE t (id)")
            writer.execute("BEGIN IMMEDIATE")
            assert self.check(commands, "sqlite:///ads.db")[0] == 0


class TestImport:
    @pytest.mark.parametrize(
        ("code", "says"),
        [
            ("import os; os._exit(3)", "importing pulls:pull ended the process (exit status 3)"),
            ("import sys; sys.exit(4)", "importing pulls:pull ended the process (exit status 4)"),
            ("def pull(api): ...", "pulls:pull does not take two arguments, (api, context)"),
            ("pull = 5", "ImportError: pulls:pull is not callable"),
        ],
    )
    def test_failures(self, tmp_path: Path, code: str, says: str) -> None:
        (tmp_path / "pulls.py").write_text(code)
        assert import_failure("pulls:pull", tmp_path, frozenset()) == says

    def test_one_that_hangs(self, tmp_path: Path) -> None:
        (tmp_path / "pulls.py").write_text("import time; time.sleep(600)")
        failure = import_failure("pulls:pull", tmp_path, frozenset(), deadline=0.5)
        assert failure == "importing pulls:pull takes longer than 0.5 s"

    def test_it_gets_no_secrets(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SECRET_OF_A_PROVIDER", "x")
        (tmp_path / "pulls.py").write_text(
            "import os\nassert 'SECRET_OF_A_PROVIDER' not in os.environ\n"
            f"assert os.getpid() != {os.getpid()}\nprint('noise')\ndef pull(api, context): ..."
        )
        assert import_failure("pulls:pull", tmp_path, frozenset({"SECRET_OF_A_PROVIDER"})) is None
        told = import_failure("pulls:pull", tmp_path, frozenset())
        assert told is not None
        assert told.startswith("AssertionError")
