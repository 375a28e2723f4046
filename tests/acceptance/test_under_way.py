"""What changes under runs that go on in a daemon or a worker: configuration, account, the process.

The API holds a page while that happens, so that the run is in the midst of it, whatever is slow.
"""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from sqlalchemy import delete

from connector.jobs.child_run import GRACE
from connector.runtime import Runtime
from connector.simulator import Settings
from connector.store.history_tables import RateLimitRow
from connector.store.queued_runs import Wish
from connector.store.run_rows import Run
from tests.unit.workbench import ACCOUNT, Workbench, run_apart

from .installation import PATIENCE, free_port
from .paged_api import SIZE, PagedApi, _Handler
from .real_time import real_time_workbench

T = TypeVar("T")

PAGES: Final = 8
#: The page that the API holds.
HELD: Final = 3
RETRY_AFTER: Final = 600
RECORDS: Final = list(range(PAGES * SIZE))
#: What a run that is stopped may take: two signals to its process, and what a busy machine adds.
STOPPED: Final = 2 * GRACE + 8.0
PULL: Final = """
[jobs.pull]
account = "acme/*"
destination = { to = "sqlite:///out.db", table = "pulled" }
[jobs.pull.request]
url = "records"
records = "data"
pagination = { kind = "cursor", next = "after", param = "after" }
"""
STUBBORN: Final = """
[jobs.stubborn]
account = "acme/*"
run = "pulls:stubborn"
destination = { to = "sqlite:///out.db", table = "stubborn" }
[jobs.holding]
account = "acme/*"
run = "pulls:holding"
destination = { to = "sqlite:///out.db", table = "holding" }
"""
CODE: Final = """
import pathlib, signal, time
def wait(name):
    pathlib.Path(name).touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
def stubborn(api, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for number in range(context.checkpoint or 0, 3):
        context.checkpoint = number + 1
        yield [{"id": number}]
        if number == 1:
            wait("stubborn")
def holding(api, context):
    batch = []
    for number in range(30_000):
        batch.append({"id": number, "text": "x" * 100})
        if number == 20_000:
            wait("holding")
    yield batch
"""


class HoldingApi(PagedApi):
    """Gives pages, but holds one until it is let go, or refuses it for ten minutes."""

    def __init__(self) -> None:
        super().__init__(PAGES)
        self.is_free = threading.Event()
        self.refuses = False
        self.tokens: list[str] = []
        self._server.RequestHandlerClass = type("Handler", (_Holding,), {"api": self})


class _Holding(_Handler):
    api: HoldingApi

    def do_GET(self) -> None:  # noqa: N802 - its name says what for
        api = self.api
        api.tokens.append(self.headers.get("Authorization", ""))
        if f"after={HELD}" in self.path and not api.is_free.is_set():
            with api._changed:
                api.given[HELD] += 0
                api._changed.notify_all()
            if api.refuses:
                self.send_response(429)
                self.send_header("Retry-After", str(RETRY_AFTER))
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            api.is_free.wait(PATIENCE)
        super().do_GET()


@dataclass(slots=True, kw_only=True)
class Host:
    """A daemon or a worker on a vault, and the API that its runs ask.

    Attributes:
        bench: the configuration.
        command: ``serve`` or ``worker``.
        api: as said.
    """

    bench: Workbench
    command: str
    api: HoldingApi
    reloads: int = 0
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        return self.bench.folder / "log"

    def start(self) -> None:
        """Start it; returns when it takes runs."""
        begun = self.count("daemon.ready", "worker.ready")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "connector", self.command],
                cwd=self.bench.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.wait_for(lambda: self.count("daemon.ready", "worker.ready") > begun)

    def reload(self, before: str, after: str) -> None:
        """Change the configuration, and have it in force."""
        text = self.bench.config.read_text()
        assert before in text
        self.bench.config.write_text(text.replace(before, after))
        self.reloads += 1
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        self.wait_for(lambda: self.count("reload.done") == self.reloads)

    def stop(self) -> float:
        """Stop it in order; give the seconds that it took."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE) == 0, self.log.read_text()
        return time.monotonic() - began

    def count(self, *actions: str) -> int:
        text = self.log.read_text() if self.log.exists() else ""
        return sum(text.count(action) for action in actions)

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < ends_at, self.log.read_text()
            time.sleep(0.02)  # polls what another process does

    def apart(self, work: Callable[[Runtime], Coroutine[Any, Any, T]]) -> T:
        """Do something with the vault, as a command does."""

        async def do() -> T:
            async with self.bench.runtime(now=time.time) as runtime:
                return await work(runtime)

        return run_apart(do)

    def put(self, *jobs: str, account: str = ACCOUNT) -> None:
        """Queue a slot of each job, as a daemon's timer does."""

        async def put(runtime: Runtime) -> None:
            for job in jobs:
                now = time.time()
                wish = Wish(account=account, provider="acme")
                assert await runtime.runs.queue.put(job, [wish], due_at=now, now=now)

        self.apart(put)

    def begin(self) -> None:
        """Have a run of the pull begun, and held in the midst of it."""
        self.put("pull")
        assert self.api.wait(HELD, PATIENCE), self.log.read_text()

    def ended(self, count: int = 1) -> list[Run]:
        """Wait until so many runs have ended; give all of them, the newest first."""
        self.wait_for(lambda: self.count("run.finished") >= count)
        ends_at = time.monotonic() + PATIENCE
        while True:
            runs = self.apart(lambda runtime: runtime.runs.history(None, limit=9))
            if all(run.outcome != "running" for run in runs):
                return runs
            assert time.monotonic() < ends_at, runs  # it is told before it is written down

    def ids(self, table: str = "pulled") -> list[int]:
        with closing(sqlite3.connect(self.bench.folder / "out.db")) as database:
            query = f"SELECT id FROM {table} ORDER BY id"  # noqa: S608 - of a test
            return [row[0] for row in database.execute(query)]


SERVE: Final = pytest.mark.parametrize("host", ["serve sqlite"], indirect=True)
BOTH: Final = pytest.mark.parametrize("host", ["serve sqlite", "worker postgres"], indirect=True)


@pytest.fixture
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    command, where = request.param.split()
    url: str | None = None
    if where == "postgres":
        url = request.getfixturevalue("postgres_vault_url").replace("+psycopg", "")
    more = f"{PULL}{STUBBORN}\n[daemon]\nport = {free_port()}\n"
    settings = Settings(access_token_lifetime=3600)
    with (
        real_time_workbench(tmp_path, settings, postgres_url=url, more=more) as bench,
        HoldingApi() as api,
    ):
        text, own = bench.config.read_text(), bench.simulator.url
        text = text.replace(f'"{own}/api/"', f'"{api.origin}/"')
        bench.config.write_text(text.replace(f'["{own}"]', f'["{api.origin}"]'))
        (tmp_path / "pulls.py").write_text(CODE)
        bench.connect_apart(ACCOUNT)
        made = Host(bench=bench, command=command, api=api)
        made.start()
        yield made
        api.is_free.set()
        assert made.process is not None
        made.process.kill()
        made.process.wait()


async def near(runtime: Runtime) -> bool:
    """Tell whether a run waits for its rate limit."""
    limits = await runtime.runs.limits.near(["acme"], now=time.time())
    return any(limit.wait > RETRY_AFTER / 2 for limit in limits)


async def pass_by(runtime: Runtime) -> None:
    """Have the time of the rate limit be over."""
    async with runtime.database.write() as connection:
        await connection.execute(delete(RateLimitRow))


@SERVE
class TestReload:
    def test_a_run_ends_as_it_began_and_the_next_one_is_as_is_said_now(self, host: Host) -> None:
        host.begin()
        host.reload(PULL, "")
        other = PULL.replace('"pulled"', '"other", key = ["id"]')
        host.reload("[http]", f'{other}params = {{ new = "1" }}\n[http]')
        host.api.is_free.set()
        (run,) = host.ended()
        assert (run.outcome, run.attempt, run.error) == ("succeeded", 1, None)
        assert host.ids() == RECORDS
        host.put("pull")
        run, _ = host.ended(2)
        assert (run.outcome, run.records) == ("succeeded", len(RECORDS))
        assert (host.ids("other"), host.ids()) == (RECORDS, RECORDS)

    def test_another_registration_ends_it_and_the_one_of_before_goes_on_with_it(
        self, host: Host
    ) -> None:
        known = f'client_id = "{host.bench.simulator.client.client_id}"'
        host.begin()
        host.reload(known, 'client_id = "another"')
        time.sleep(1.0)  # for as long a token is held in the run's process
        host.api.is_free.set()
        (run,) = host.ended()
        assert run.outcome == "consent_required", run
        assert "client registration" in str(run.error)
        assert host.ids() == RECORDS[: (HELD + 1) * SIZE], "what came by then is kept"
        host.reload('client_id = "another"', known)
        host.put("pull")
        run, _ = host.ended(2)
        assert (run.outcome, host.ids()) == ("succeeded", RECORDS)


@BOTH
class TestAccount:
    def test_one_that_is_revoked_ends_it_and_a_new_consent_goes_on_with_it(
        self, host: Host
    ) -> None:
        host.begin()
        host.apart(lambda runtime: runtime.revoker.revoke(ACCOUNT, at_provider=True))
        time.sleep(2.0)  # within which every process stops serving what was revoked
        host.api.is_free.set()
        (run,) = host.ended()
        assert (run.outcome, host.ids()) == ("consent_required", RECORDS[: (HELD + 1) * SIZE])
        host.bench.connect_apart(ACCOUNT)
        host.put("pull")
        run, _ = host.ended(2)
        assert (run.outcome, host.ids()) == ("succeeded", RECORDS)
        assert list(host.api.given.values()) == [1] * PAGES

    def test_one_that_is_renamed_goes_on_though_another_has_its_name(self, host: Host) -> None:
        async def rename(runtime: Runtime) -> None:
            account = await runtime.accounts.require(ACCOUNT)
            assert await runtime.accounts.rename(account, "acme/new")

        host.begin()
        host.apart(rename)
        host.bench.connect_apart(ACCOUNT, person="grace")
        time.sleep(2.0)  # within which every process knows of it
        host.api.is_free.set()
        (run,) = host.ended()
        assert (run.account, run.outcome, host.ids()) == ("acme/new", "succeeded", RECORDS)
        assert len(set(host.api.tokens)) == 1
        host.put("pull", account=ACCOUNT)
        run, _ = host.ended(2)
        assert (run.outcome, host.ids()) == ("succeeded", sorted(RECORDS * 2))


@BOTH
class TestStop:
    """Limits are kept over it too: the next start waits until they are over."""

    @pytest.mark.timeout(120)
    def test_whatever_runs_do_they_stop_and_go_on_at_the_next_start(self, host: Host) -> None:
        host.api.refuses = True
        host.put("stubborn", "holding")
        host.begin()
        folder = host.bench.folder
        host.wait_for(lambda: all((folder / name).exists() for name in ("stubborn", "holding")))
        host.wait_for(lambda: host.apart(near))
        assert host.stop() < STOPPED
        runs = host.apart(lambda runtime: runtime.runs.history(None, limit=9))
        stopped = {run.job: (run.outcome, run.attempt, run.error) for run in runs}
        queued = ("queued", 1, "the process was stopped")
        assert stopped == dict.fromkeys(("pull", "stubborn", "holding"), queued)
        assert (host.ids(), host.ids("stubborn")) == (RECORDS[: HELD * SIZE], [0, 1])
        host.apart(pass_by)
        host.api.is_free.set()
        (folder / "go").touch()
        host.start()
        runs = host.ended(6)
        assert {(run.job, run.outcome, run.attempt) for run in runs} == {
            (job, "succeeded", 1) for job in stopped
        }
        assert host.ids() == RECORDS
        assert host.ids("stubborn") == [0, 1, 2]
        assert host.ids("holding") == list(range(30_000))

    def test_a_job_that_is_paused_waits_until_it_is_resumed(self, host: Host) -> None:
        host.begin()
        host.apart(lambda runtime: runtime.runs.pause("pull", now=time.time()))
        host.stop()
        host.api.is_free.set()
        host.start()
        host.put("stubborn")
        (host.bench.folder / "go").touch()
        host.ended(2)
        assert host.ids() == RECORDS[: HELD * SIZE], "others run"
        host.apart(lambda runtime: runtime.runs.resume("pull", now=time.time()))
        host.ended(3)
        assert host.ids() == RECORDS
