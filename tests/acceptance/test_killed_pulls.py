"""Declared pulls are killed again and again within a thousand pages, and lose and repeat nothing.

Killed are, by turns of chance, the run's own process, the command alone (what it had started ends
by itself), and all of its processes at once; each some while after the API gave a page that was
drawn beforehand. Records without a key are the harder case; those with one are killed a fifth as
often, and those of DuckDB and Parquet half as often. How long it took is shown with ``-rA``; a
longer run: CONNECTOR_TEST_PULL_KILLS=100.
"""

import contextlib
import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest
from sqlalchemy.engine import make_url

from connector.simulator import Settings, Simulator
from tests.acceptance.forked import Nursery
from tests.acceptance.installation import PATIENCE, Installation
from tests.acceptance.paged_api import SIZE, PagedApi, record
from tests.postgres import connect

KILLS: Final = int(os.environ.get("CONNECTOR_TEST_PULL_KILLS", "20"))
PAGES: Final = 1000
#: No run is to end before it is killed, and a busy machine may kill it late: it has so many pages
#: before it.
LAST: Final = PAGES - 200
#: Seconds between a page that was given and the kill: longer than a page takes.
LATEST: Final = 0.006
KINDS: Final = ("run", "command", "all")
RECORDS: Final = [record(number) for number in range(PAGES * SIZE)]


@dataclass(slots=True, kw_only=True)
class Place:
    """Where records go.

    Attributes:
        to: its URL, as a configuration has it.
        read: gives what is there, in the order of the identifiers.
        mode: of the destination.
    """

    to: str
    read: Callable[[], list[dict[str, Any]]] = field(repr=False)
    mode: str

    @property
    def kills(self) -> int:
        """How often its pull is killed."""
        if self.mode == "merge":
            return KILLS // 5
        return KILLS // 2 if self.to.startswith(("duckdb:", "parquet:")) else KILLS


@pytest.fixture(
    params=[
        "jsonl append",
        "sqlite append",
        "sqlite merge",
        "duckdb append",
        "parquet append",
        "postgres append",
        "postgres merge",
    ]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    kind, mode = request.param.split()
    if kind == "jsonl":
        path = tmp_path / "pulled.jsonl"

        def read_lines() -> list[dict[str, Any]]:
            return [json.loads(line) for line in path.read_text().splitlines()]

        return Place(to="jsonl:pulled.jsonl", read=read_lines, mode=mode)
    query = "SELECT id, name, share, is_even FROM pulled ORDER BY id"
    names = ("id", "name", "share", "is_even")
    if kind == "sqlite":

        def read_sqlite() -> list[dict[str, Any]]:
            with closing(sqlite3.connect(tmp_path / "pulled.db")) as database:
                return [dict(zip(names, row, strict=True)) for row in database.execute(query)]

        return Place(to="sqlite:///pulled.db", read=read_sqlite, mode=mode)
    if kind in {"duckdb", "parquet"}:
        to, whole = {
            "duckdb": ("duckdb:pulled.duckdb", "pulled"),
            "parquet": ("parquet:pulled", f"'{tmp_path}/pulled/*.parquet'"),
        }[kind]

        def read_columns() -> list[dict[str, Any]]:
            file = tmp_path / "pulled.duckdb" if kind == "duckdb" else ":memory:"
            with duckdb.connect(str(file)) as database:
                rows = database.execute(query.replace("pulled", whole)).fetchall()
                return [dict(zip(names, row, strict=True)) for row in rows]

        return Place(to=to, read=read_columns, mode=mode)
    url = request.getfixturevalue("postgres_url")

    def read_postgres() -> list[dict[str, Any]]:
        with connect(make_url(url)) as database:
            rows = database.execute(query.encode()).fetchall()
            return [dict(zip(names, row, strict=True)) for row in rows]

    return Place(to=url, read=read_postgres, mode=mode)


@pytest.fixture
def api() -> Iterator[PagedApi]:
    with PagedApi(PAGES) as made:
        yield made


@pytest.fixture
def pulling(
    tmp_path: Path, api: PagedApi, place: Place, nursery: Nursery
) -> Iterator[Installation]:
    """An installation with the job, and an account whose token outlives the test."""
    settings = Settings(access_token_lifetime=86_400)
    with (
        Simulator(settings) as simulator,
        Installation(tmp_path, simulator, nursery=nursery) as installation,
    ):
        key = 'key = ["id"], ' if place.mode == "merge" else ""
        job = f"""
            [jobs.pulled]
            account = "acme/ads"
            destination = {{ to = "{place.to}", {key}mode = "{place.mode}" }}
            [jobs.pulled.request]
            url = "records"
            records = "data"
            pagination = {{ kind = "cursor", next = "after", param = "after" }}
            cursor = {{ field = "id", format = "number", param = "since" }}
            """
        providers = f"""
            [providers.ads]
            issuer = "{simulator.issuer}"
            client_id = "{simulator.client.client_id}"
            client_secret = "file:ads.secret"
            scopes = ["ads_read"]
            api_origins = ["{api.origin}"]
            api = {{ base_url = "{api.origin}/" }}
            """
        installation.configure(job, providers=providers)
        installation.connect("ads", "acme/ads")
        yield installation


class Killer:
    """Kills commands, or what they have started.

    Args:
        chance: when, and whom.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.killed = dict.fromkeys(KINDS, 0)
        self.orphans: list[int] = []  # descriptors of processes

    def kill(self, command: subprocess.Popen[str]) -> str:
        """Kill once the run's process is there, and say what; the command has then to end."""
        kind = self._chance.choice(KINDS)
        template, run = _started_by(command)
        time.sleep(self._chance.uniform(0, LATEST))  # the moment is what is tested
        assert command.poll() is None, "it ended before it was killed"
        if kind == "command":
            self.orphans += [os.pidfd_open(template), os.pidfd_open(run)]
        whole = [command.pid, template, run]
        self._chance.shuffle(whole)
        killed = {"run": [run], "command": [command.pid], "all": whole}[kind]
        os.kill(killed[0], signal.SIGKILL)
        for pid in killed[1:]:
            with contextlib.suppress(ProcessLookupError):  # it has ended with the one before
                os.kill(pid, signal.SIGKILL)
        self.killed[kind] += 1
        return kind

    def see_orphans_end(self) -> None:
        """See that what lost its command has ended by itself."""
        for descriptor in self.orphans:
            with os.fdopen(descriptor) as one:
                assert _has_ended(one.fileno()), "it goes on without its command"


def _started_by(command: subprocess.Popen[str]) -> tuple[int, int]:
    """Give the process that a command's runs are forked from, and the one of its run.

    They may still have to be started.
    """
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at and command.poll() is None:
        for template in _children(command.pid):
            for run in _children(template):
                return template, run
        time.sleep(0.001)  # polls what another process does
    command.kill()
    pytest.fail(f"no run is there to be killed: {command.communicate()}")


def _children(pid: int) -> list[int]:
    """Give the children of a process that are what runs are forked from, or a run.

    Libraries start others, for moments.
    """
    found: list[int] = []
    with contextlib.suppress(OSError):  # it, or a thread of it, has ended meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                line = Path(f"/proc/{child}/cmdline").read_bytes()
                if b"connector.jobs.fork_template" in line and os.getsid(child) == child:
                    found.append(child)
    return found


def _has_ended(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(PATIENCE * 1000))


@pytest.mark.timeout(120 + 10 * KILLS)
def test_killed_time_and_again_a_pull_has_every_record_once(
    pulling: Installation, api: PagedApi, place: Place
) -> None:
    chance = random.Random(place.to.partition(":")[0] + place.mode)  # noqa: S311 - when to kill
    killer = Killer(chance)
    began = time.monotonic()
    for page in sorted(chance.sample(range(LAST), place.kills)):
        command = pulling.start("jobs", "run", "pulled")
        assert api.wait(page, PATIENCE), pulling.finish(command)
        kind = killer.kill(command)
        status, out, err = pulling.finish(command)
        if kind == "run":
            assert status == 1, (out, err)
            assert "killed by SIGKILL" in err, (out, err)
        else:  # of all, the command may be the last
            assert status == -signal.SIGKILL or (kind, status) == ("all", 1), (out, err)
    killer.see_orphans_end()
    took = time.monotonic() - began
    done = pulling.run("jobs", "run", "pulled")
    assert done.returncode == 0, done.stderr
    repeated = api.given.total() - len(api.given)
    told = {"seconds": round(took, 1), "killed": killer.killed, "pages given again": repeated}
    sys.stdout.write(f"{told}\n")

    assert [{name: row[name] for name in RECORDS[0]} for row in place.read()] == RECORDS
    assert sorted(api.given) == list(range(PAGES))
    assert repeated <= place.kills, "at most one page is asked for again for each kill"
    assert sum(killer.killed.values()) == place.kills
    assert_the_cursor_is_at_the_end(pulling, api)


def assert_the_cursor_is_at_the_end(pulling: Installation, api: PagedApi) -> None:
    """See that the next run asks for what is new, and that nothing is left half done."""
    assert api.since == []
    done = pulling.run("jobs", "run", "pulled")
    assert done.returncode == 0, done.stderr
    assert api.since == [str(RECORDS[-1]["id"])]
    outcomes = pulling.rows("SELECT DISTINCT outcome FROM run ORDER BY 1", database="vault.db")
    assert set(outcomes) <= {("failed",), ("interrupted",), ("succeeded",)}
    newest = "SELECT outcome, cursor FROM run ORDER BY started_at DESC LIMIT 1"
    assert pulling.rows(newest, database="vault.db") == [("succeeded", str(RECORDS[-1]["id"]))]
