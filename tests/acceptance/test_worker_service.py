"""A worker under a service manager: it reloads as a daemon does, and its runs are not disturbed.

What concerns its host people are told, and its runs are traced, as a daemon's are.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg.rows import dict_row

from connector.simulator import Settings
from connector.store.queued_runs import Wish
from tests.collector import Collector, attributes
from tests.unit.workbench import ACCOUNT, Workbench, run_apart

from .installation import PATIENCE
from .real_time import real_time_workbench
from .test_notices import HOOK, told
from .test_service_manager import Manager

pytestmark = pytest.mark.traced

JOB: Final = """
[jobs.{name}]
account = "acme/*"
run = "pulls:{name}"
destination = {{ to = "sqlite:///out.db", table = "{name}", key = ["n"] }}
"""
SLOW: Final = JOB.format(name="slow")
LATE: Final = JOB.format(name="late")
CODE: Final = """
import pathlib, time
def slow(api, context):
    yield [{"n": 1}]
    while not pathlib.Path("go").exists():
        time.sleep(0.02)
    yield [{"n": 2}]
def late(api, context):
    yield [{"n": 1}]
"""


class Host:
    """A host with one worker, and the database that it takes runs from."""

    def __init__(self, bench: Workbench, url: str, manager: Manager) -> None:
        self.bench = bench
        self.url = url
        self.manager = manager
        self.log = bench.folder / "log"
        (bench.folder / "pulls.py").write_text(CODE)

    @contextmanager
    def worker(self, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a worker, which is ready."""
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "connector", "worker", *options],
                cwd=self.bench.folder,
                env=os.environ | {"NOTIFY_SOCKET": str(self.manager.path)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            assert self.manager.next() == {"READY": "1", "STATUS": "taking runs"}, self.told()
            yield process
        finally:
            process.kill()
            process.wait()

    def told(self) -> str:
        return self.log.read_text()

    def reload(self, process: "subprocess.Popen[bytes]") -> str:
        """Have the configuration read again; give what the service manager is told then."""
        process.send_signal(signal.SIGHUP)
        assert self.manager.next()["RELOADING"] == "1"
        ready = self.manager.next()
        assert ready["READY"] == "1"
        return ready["STATUS"]

    def put(self, job: str) -> str:
        """Queue a run as a daemon does; give its id."""

        async def put() -> str:
            async with self.bench.runtime(now=time.time) as runtime:
                made = await runtime.runs.queue.put(
                    job, [Wish(account=ACCOUNT)], due_at=None, now=time.time()
                )
                return made[ACCOUNT].id

        return run_apart(put)

    def run(self, identifier: str) -> dict[str, Any]:
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            row = connection.execute("SELECT * FROM run WHERE id = %s", [identifier]).fetchone()
        assert row is not None
        return row

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        ends_at = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < ends_at, self.told()
            time.sleep(0.02)  # polls what another process does

    def change(self, text: str) -> None:
        self.bench.config.write_text(text)


@pytest.fixture
def host(tmp_path: Path, postgres_vault_url: str) -> Iterator[Host]:
    url = postgres_vault_url.replace("+psycopg", "")
    settings = Settings(access_token_lifetime=3600)
    with real_time_workbench(tmp_path, settings, postgres_url=url, more=SLOW) as bench:
        bench.connect_apart(ACCOUNT)
        manager = Manager(tmp_path / "notify")
        yield Host(bench, url, manager)
        manager.socket.close()


def test_another_configuration_takes_effect_beside_a_run_under_way(host: Host) -> None:
    before = host.bench.config.read_text()
    with host.worker("--concurrency", "2") as process:
        slow, late = host.put("slow"), host.put("late")
        host.wait_for(lambda: host.run(slow)["batches"] == 1)
        host.change(before.replace(SLOW, LATE) + "\n[daemon]\nconcurrent_runs = 1\n")
        assert host.reload(process) == "taking runs"
        host.wait_for(lambda: host.run(late)["outcome"] == "succeeded")
        assert host.run(slow)["outcome"] == "running", "its job is gone, and it goes on"
        (host.bench.folder / "go").touch()
        host.wait_for(lambda: host.run(slow)["outcome"] != "running")
        run = host.run(slow)
        assert (run["outcome"], run["attempt"], run["records"]) == ("succeeded", 1, 2)
        process.send_signal(signal.SIGTERM)
        assert host.manager.next()["STOPPING"] == "1"
        assert process.wait(PATIENCE) == 0


def test_every_problem_is_told_and_the_old_configuration_stays(host: Host) -> None:
    before = host.bench.config.read_text()
    refused = "taking runs; the last reload was refused, see the log"
    with host.worker() as process:
        slow = host.put("slow")
        host.wait_for(lambda: host.run(slow)["batches"] == 1)
        host.change(before.replace("[http]", "[http]\nnonsense = 1") + LATE.replace("sqlite", "no"))
        assert host.reload(process) == refused
        host.wait_for(lambda: "reload.refused" in host.told())  # a thread writes the log
        told = [line for line in host.told().splitlines() if "reload.problem" in line]
        named = ("http.nonsense", "jobs.late.destination.to")
        assert all(any(name in line for line in told) for name in named), told
        host.change(before + "\n[daemon]\nheartbeat = '1s'\n")
        assert host.reload(process) == refused
        host.wait_for(lambda: "daemon.heartbeat" in host.told())
        assert host.run(slow)["outcome"] == "running"
        (host.bench.folder / "go").touch()
        host.wait_for(lambda: host.run(slow)["outcome"] == "succeeded")
        again = host.put("slow")
        host.wait_for(lambda: host.run(again)["outcome"] == "succeeded")
        host.change(before)
        assert host.reload(process) == "taking runs"
        assert process.poll() is None


def test_the_keys_leave_memory_once_the_seal_has_not_answered_for_too_long(host: Host) -> None:
    (host.bench.folder / "hook.py").write_text(HOOK)
    notify = '[notify]\ncommand = ["python3", "hook.py"]\n[vault]\nseal_max_age = "2s"'
    host.change(host.bench.config.read_text().replace("[vault]", notify))
    key = host.bench.folder / "root.key"
    right = key.read_bytes()
    with host.worker() as process:
        slow = host.put("slow")
        host.wait_for(lambda: host.run(slow)["batches"] == 1)
        key.unlink()
        assert process.wait(PATIENCE) == 5, host.told()
        assert host.run(slow)["outcome"] == "queued", "others go on with it"
        assert host.manager.next()["STOPPING"] == "1"
    (sealed,) = told(host.bench.folder, 1)
    assert (sealed["type"], sealed["kind"]) == ("notice.opened", "vault_sealed")
    key.write_bytes(right)
    key.chmod(0o600)
    (host.bench.folder / "go").touch()
    with host.worker():
        host.wait_for(lambda: host.run(slow)["outcome"] == "succeeded")
        assert [one["type"] for one in told(host.bench.folder, 2)][1] == "notice.resolved"


def test_what_a_worker_does_is_traced(host: Host) -> None:
    with Collector() as collector:
        telemetry = f'\n[telemetry]\notlp_endpoint = "{collector.url}"\n'
        host.change(host.bench.config.read_text() + telemetry)
        (host.bench.folder / "go").touch()
        with host.worker() as process:
            slow = host.put("slow")
            host.wait_for(lambda: host.run(slow)["outcome"] == "succeeded")
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0, host.told()
        span = collector.wait_for("job slow")
        assert attributes(span)["connector.run"] == slow
