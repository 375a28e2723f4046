"""``connector jobs check``: what is looked at, and the exit status."""

import fcntl
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from connector.jobs.destinations.destination import DestinationFailed, open_destination
from connector.jobs.destinations.rejecting import reject
from connector.jobs.destinations.stream import Stream
from connector.jobs.import_check import import_failure
from tests.unit.cli.conftest import JOB, Commands
from tests.unit.user_code import write_module
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

    def test_a_declared_pull(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        job = JOB.replace('run = "pulls:pull"', 'request = { url = "me/ads" }')
        assert job != JOB
        file = commands.bench.folder / "config.toml"
        file.write_text(file.read_text().replace(JOB, job))
        assert commands.run("jobs", "check", "pull") == 0
        assert "✓ request: GET me/ads" in commands.out.splitlines()

    def test_a_declared_pull_for_an_account_whose_provider_it_does_not_fit(
        self, commands: Commands
    ) -> None:
        commands.bench.connect_apart()
        job = JOB.replace('run = "pulls:pull"', 'request = { url = "https://graph.example/me" }')
        file = commands.bench.folder / "config.toml"
        text = file.read_text().replace(JOB, job)
        file.write_text(
            text + '[providers.other]\nlike = "github"\nclient_id = "x"\nclient_secret = "env:X"\n'
            'api_origins = ["https://graph.example"]\n'
        )
        assert commands.run("jobs", "check", "pull") == 2
        assert (
            "✗ request at acme: https://graph.example/me goes where no token is sent"
            in commands.out.splitlines()
        )

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

    @pytest.mark.parametrize(
        "to", ["duckdb:new/ads.duckdb", "parquet:new/ads", "dlt:duckdb", "parquet:there"]
    )
    def test_kinds_that_need_an_extra(self, commands: Commands, to: str) -> None:
        (commands.bench.folder / "there").mkdir()
        assert self.check(commands, to)[0] == 0
        made = {one.name for one in commands.bench.folder.iterdir()}
        assert not made & {"new", ".connector-dlt"}
        assert list((commands.bench.folder / "there").iterdir()) == []

    @pytest.mark.parametrize(
        ("to", "says"),
        [
            ("duckdb:file/ads.duckdb", "file is no folder"),
            ("parquet:file", "file is no folder"),
            ("duckdb:there", "Is a directory"),
        ],
    )
    def test_places_that_cannot_be_written(self, commands: Commands, to: str, says: str) -> None:
        (commands.bench.folder / "file").write_text("")
        (commands.bench.folder / "there").mkdir()
        status, line = self.check(commands, to)
        assert (status, says in line) == (2, True)

    def test_one_that_is_there(self, commands: Commands) -> None:
        (commands.bench.folder / "ads.jsonl").write_text("{}\n")
        assert self.check(commands, "jsonl:ads.jsonl")[0] == 0
        assert (commands.bench.folder / "ads.jsonl").read_text() == "{}\n"

    def test_one_that_a_run_writes_into_now(self, commands: Commands) -> None:
        path = commands.bench.folder / "ads.db"
        with closing(sqlite3.connect(path, isolation_level=None)) as writer:
            writer.execute("CREATE TABLE t (_account, id, PRIMARY KEY (_account, id))")
            writer.execute("BEGIN IMMEDIATE")
            assert self.check(commands, "sqlite:///ads.db")[0] == 0

    @pytest.mark.parametrize("kind", ["primary key", "unique index", "no key", "no account"])
    def test_a_table_that_was_made_with_another_key(self, commands: Commands, kind: str) -> None:
        path = commands.bench.folder / "ads.db"
        columns = "id" if kind == "no account" else "_account, id, day"
        made = ", PRIMARY KEY (_account, id, day)" if kind == "primary key" else ""
        with closing(sqlite3.connect(path)) as database:
            database.execute(f"CREATE TABLE t ({columns}{made})")
            if kind == "unique index":
                database.execute("CREATE UNIQUE INDEX by_day ON t (_account, day)")
            if kind == "no account":
                database.execute("CREATE UNIQUE INDEX by_id ON t (id)")
        status, line = self.check(commands, "sqlite:///ads.db")
        says = "table t was made with another key than _account, id"
        assert (status, line) == (2, f"✗ destination: {path}: {says}")
        assert "\n    move it away, or give the job its old key again\n" in commands.out
        with closing(sqlite3.connect(path)) as database:
            database.execute("DROP TABLE t")
            database.execute("CREATE TABLE t (_account, id, PRIMARY KEY (id, _account))")
        assert commands.run("jobs", "check", "pull") == 0, commands.out

    @pytest.mark.parametrize("kind", ["primary key", "no key", "no account"])
    def test_a_table_of_duckdb_that_does_not_take_the_records(
        self, commands: Commands, kind: str
    ) -> None:
        path = commands.bench.folder / "ads.duckdb"
        columns = "id INT" if kind == "no account" else "_account VARCHAR, id INT, day DATE"
        made = ", PRIMARY KEY (_account, id, day)" if kind == "primary key" else ""
        with duckdb.connect(str(path)) as database:
            database.execute(f"CREATE TABLE t ({columns}{made})")
        status, line = self.check(commands, "duckdb:ads.duckdb")
        says = "table t was made with another key than _account, id"
        if kind == "no account":
            says = "table t has no column _account"
        assert (status, line) == (2, f"✗ destination: {path}: {says}")
        with duckdb.connect(str(path)) as database:
            database.execute("DROP TABLE t")
            made = "CREATE TABLE t (_ACCOUNT VARCHAR, id INT, PRIMARY KEY (id, _account))"
            database.execute(made)
        before = path.read_bytes()
        assert commands.run("jobs", "check", "pull") == 0, commands.out
        assert path.read_bytes() == before
        assert not list(commands.bench.folder.glob("ads.duckdb?*")), "it only looks"

    def test_no_duckdb_file(self, commands: Commands) -> None:
        (commands.bench.folder / "ads.duckdb").write_text("these are no pages" * 999)
        status, line = self.check(commands, "duckdb:ads.duckdb")
        assert (status, "not a valid DuckDB database file" in line) == (2, True)
        assert "\n    move it away, or name another file\n" in commands.out

    def test_a_duckdb_file_that_others_have_open(self, commands: Commands) -> None:
        """A run gives it away; of another program nobody knows when it does."""
        path = commands.bench.folder / "ads.duckdb"
        program = f"import duckdb; c = duckdb.connect({str(path)!r}); print(flush=True); input()"
        command, pipe = [sys.executable, "-c", program], subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"\n"
            status, line = self.check(commands, "duckdb:ads.duckdb")
            says = f"! destination: {path}: another program has it open (process {other.pid})"
            assert (status, line.startswith(says)) == (0, True), line
            with Path(f"{path}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # as who writes for a run does
                assert self.check(commands, "duckdb:ads.duckdb")[1].startswith("✓")
            other.communicate(b"\n", timeout=30)

    @pytest.mark.parametrize(
        ("to", "name"),
        [
            ("jsonl:ads.jsonl", "ads.jsonl"),
            ("jsonl:ads.jsonl", "ads.jsonl.rejected.jsonl"),
            ("parquet:ads", "ads/_connector.rejected.jsonl"),
        ],
    )
    def test_lines_that_were_changed_by_hand(self, commands: Commands, to: str, name: str) -> None:
        """The next run would refuse them."""
        file = commands.bench.folder / name
        kind, _, path = to.partition(":")
        stream = Stream(job="pull", account="acme/ads", account_id="1")
        url = f"{kind}:{commands.bench.folder / path}"
        destination = open_destination(url, table="t", key=("id",), stream=stream)
        destination.commit([{"id": 1}], rejected=[reject({}, "lacks id")])
        destination.close()
        assert self.check(commands, to)[0] == 0
        with file.open("a") as lines:
            lines.write("what a crash has left")
        assert self.check(commands, to)[0] == 0
        file.write_text("{}\n")
        status, line = self.check(commands, to)
        assert (status, "is shorter than what was committed" in line) == (2, True)
        assert "\n    it was changed by hand; move it away together with " in commands.out
        file.unlink()
        assert self.check(commands, to)[0] == 2
        with pytest.raises(DestinationFailed, match="is shorter than"):
            open_destination(url, table="t", key=("id",), stream=stream)

    def test_a_file_whose_last_line_is_cut(self, commands: Commands) -> None:
        (commands.bench.folder / "ads.jsonl").write_text('{"id": 1}\n{"id"')
        status, line = self.check(commands, "jsonl:ads.jsonl")
        assert (status, "has no line that ends" in line) == (2, True)

    def test_a_server(self, commands: Commands, postgres_url: str) -> None:
        (commands.bench.folder / "place").write_text(postgres_url)
        status, line = self.check(commands, "file:place")
        assert status == 0
        assert line.endswith("can be written")

    def test_a_server_that_is_not_there(self, commands: Commands) -> None:
        (commands.bench.folder / "place").write_text("postgresql://ads:hunter2@127.0.0.1:1/ads")
        status, line = self.check(commands, "file:place")
        assert status == 2
        assert "postgresql://127.0.0.1:1/ads: connection failed" in line
        assert "hunter2" not in commands.out + commands.err

    def test_a_secret_that_is_missing(self, commands: Commands) -> None:
        status, line = self.check(commands, "file:place")
        assert status == 2
        assert "jobs.pull.destination.to" in line


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
        write_module(tmp_path / "pulls.py", code)
        assert import_failure("pulls:pull", tmp_path, frozenset()) == says

    def test_one_that_hangs(self, tmp_path: Path) -> None:
        write_module(tmp_path / "pulls.py", "import time; time.sleep(600)")
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
