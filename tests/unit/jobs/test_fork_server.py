"""Processes of runs that are forked from one that has imported everything."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from connector.jobs.descendants import children_of
from connector.jobs.fork_server import ForkedProcess, ForkServer
from connector.jobs.template_process import UNTOLD, plain_environment
from tests.unit.jobs.bench import is_running, wait_for_end
from tests.unit.jobs.orders import an_order
from tests.unit.user_code import write_module

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")


class Child:
    """A forked process, with its channel and its pipes in our hands."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.channel, self.theirs = socket.socketpair()
        self.channel.settimeout(20)
        self.output, self.stdout = os.pipe()
        for one in (self.channel, self.theirs):
            stack.callback(one.close)
        for descriptor in (self.output, self.stdout):
            stack.callback(os.close, descriptor)

    async def start(self, server: ForkServer, code: str, **environment: str) -> ForkedProcess:
        """Start it and send its order."""
        write_module(self.folder / "pulls.py", code)
        process = await server.start(self.theirs.fileno(), self.stdout, self.stdout)
        order = an_order(self.folder, environment=environment)
        self.channel.sendall(json.dumps(order).encode() + b"\n")
        return process

    def rows(self, columns: str) -> list[tuple[Any, ...]]:
        """Read what it has written."""
        with closing(sqlite3.connect(self.folder / "ads.db")) as database:
            query = f"SELECT {columns} FROM t"  # noqa: S608 - columns of a test
            return database.execute(query).fetchall()

    async def result(self) -> dict[str, Any]:
        """Read to the result."""

        def read() -> dict[str, Any]:
            with self.channel.makefile("rb") as lines:
                for line in lines:
                    message: dict[str, Any] = json.loads(line)
                    if message["type"] == "result":
                        return message
            raise AssertionError("there was no result")

        return await asyncio.to_thread(read)


@pytest.fixture
async def server() -> AsyncIterator[ForkServer]:
    made = ForkServer()
    yield made
    made.close()


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    with ExitStack() as stack:
        yield Child(tmp_path, stack)


async def test_a_run(server: ForkServer, child: Child) -> None:
    code = """
import os, sys
def pull(api, context):
    print("told", file=sys.stderr, flush=True)
    yield {"id": 1, "secret": os.environ.get("SECRET"), "path": os.environ.get("PATH"),
           "folder": os.getcwd(), "leads": os.getsid(0) == os.getpid(), "stdin": sys.stdin.read()}
"""
    process = await child.start(server, code, SECRET="s3cret")
    result = await child.result()
    assert (result["kind"], result["records"]) == (None, 1)
    assert await process.wait() == 0
    assert os.read(child.output, 100) == b"told\n"
    (row,) = child.rows("secret, path, folder, leads, stdin")
    assert row == ("s3cret", None, str(child.folder), 1, "")


async def test_many_at_once_from_one_template(server: ForkServer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        children = []
        for number in range(8):
            folder = tmp_path / str(number)
            folder.mkdir()
            children.append(Child(folder, stack))
        code = "import os\ndef pull(api, context): return [{'id': os.getppid()}]"
        processes = await asyncio.gather(*(one.start(server, code) for one in children))
        results = await asyncio.gather(*(one.result() for one in children))
        assert [one["records"] for one in results] == [1] * 8
        assert await asyncio.gather(*(one.wait() for one in processes)) == [0] * 8
        assert len({one.pid for one in processes}) == 8


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("import os\nos._exit(7)", 7),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
    ],
)
async def test_how_it_ended(server: ForkServer, child: Child, code: str, status: int) -> None:
    process = await child.start(server, code)
    assert await process.wait() == status
    assert await process.wait() == process.returncode == status


async def test_what_it_started_ends_with_it(server: ForkServer, child: Child) -> None:
    code = """
import subprocess
def pull(api, context):
    started = subprocess.Popen(["sleep", "600"])
    return [{"id": started.pid}]
"""
    process = await child.start(server, code)
    await child.result()
    ((pid,),) = child.rows("id")
    await process.wait()
    wait_for_end(pid)


#: Starts two processes that leave its group and its session, one of them without a parent, and
#: tells their ids.
async def told_ids(child: Child) -> list[int]:
    """Give the ids of the two processes that a run has started, once it has told both."""
    told = b""
    while not told.endswith(b"\n"):
        told += await asyncio.to_thread(os.read, child.output, 100)
    first, second = told.split()
    return [int(first), int(second)]


LEAVING = """
import os, subprocess, sys
def leave():
    started = subprocess.Popen(["sleep", "600"], start_new_session=True)
    ours, theirs = os.pipe()
    if not os.fork():
        os.setsid()
        if pid := os.fork():
            os.write(theirs, str(pid).encode())
            os._exit(0)
        os.execvp("sleep", ["sleep", "600"])
    os.wait()
    print(started.pid, os.read(ours, 20).decode(), flush=True)
"""


async def test_what_has_left_its_session_ends_with_it_and_others_go_on(
    server: ForkServer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        (tmp_path / "other").mkdir()
        child, other = Child(tmp_path, stack), Child(tmp_path / "other", stack)
        staying = await other.start(
            server, f"{LEAVING}    sys.stdin = open(ours)\ndef pull(*_): leave(); input()"
        )
        others = [staying.pid, *await told_ids(other)]
        process = await child.start(server, f"{LEAVING}def pull(*_): leave()")
        await child.result()
        told = await told_ids(child)
        await process.wait()
        assert not any(is_running(pid) for pid in told)
        assert all(is_running(pid) for pid in others)
        os.kill(staying.pid, signal.SIGKILL)
        await staying.wait()
        assert not any(is_running(pid) for pid in others)


async def test_everything_ends_with_the_server(server: ForkServer, child: Child) -> None:
    """A run that lets none of its threads run does not notice that its channel is closed."""
    code = f"{LEAVING}import re\ndef pull(*_): leave(); re.match('(a+)+$', 'a' * 60 + 'b')"
    process = await child.start(server, code)
    told = await told_ids(child)
    assert server._template is not None
    server._template._requests.close()
    for pid in (process.pid, *told):
        await asyncio.to_thread(wait_for_end, pid)


async def test_where_memory_ends_the_kernel_ends_it_first(server: ForkServer, child: Child) -> None:
    code = "def pull(*_): return [{'id': int(open('/proc/self/oom_score_adj').read())}]"
    process = await child.start(server, code)
    await child.result()
    await process.wait()
    ((score,),) = child.rows("id")
    assert score >= 500


async def test_it_knows_nothing_of_our_environment(
    server: ForkServer, child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACEBOOK_SECRET", "canary-of-the-environment")
    code = """
def pull(api, context):
    return [{"id": open("/proc/self/environ").read()}]
"""
    process = await child.start(server, code)
    await child.result()
    await process.wait()
    assert b"canary" not in (child.folder / "ads.db").read_bytes()


async def test_a_template_that_is_gone_is_started_anew(server: ForkServer, child: Child) -> None:
    waiting = "import time\ndef pull(api, context):\n    print('.', flush=True); time.sleep(600)"
    process = await child.start(server, waiting)
    await asyncio.to_thread(os.read, child.output, 1)  # it runs: the next is written over it
    assert server._template is not None
    template = server._template.pid
    os.kill(template, signal.SIGKILL)
    wait_for_end(template)
    assert is_running(process.pid), "a run under way goes on"
    with ExitStack() as stack:
        (child.folder / "other").mkdir()
        other = Child(child.folder / "other", stack)  # the first may not have read its module yet
        again = await other.start(server, "def pull(api, context): return [{'id': 1}]")
        assert (await other.result())["records"] == 1
        assert await again.wait() == 0
    os.killpg(process.pid, signal.SIGKILL)
    assert await process.wait() == UNTOLD


async def _given_up(server: ForkServer, work: Coroutine[Any, Any, object]) -> None:
    """Cancel what has asked the template, before it answers."""
    assert server._template is not None
    os.kill(server._template.pid, signal.SIGSTOP)
    asking = asyncio.create_task(work)
    while not server._one_at_a_time.locked():  # noqa: ASYNC110 - tells of itself to nobody
        await asyncio.sleep(0.001)  # polls what another task takes
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.sleep(0)
    os.kill(server._template.pid, signal.SIGCONT)
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_wait_that_is_given_up_leaves_no_answer_to_the_next_request(
    server: ForkServer, child: Child
) -> None:
    process = await child.start(server, "def pull(api, context): return []")
    await child.result()
    await _given_up(server, process.wait())
    with ExitStack() as stack:
        other = Child(child.folder, stack)
        again = await other.start(server, "import os\nos._exit(7)")
        assert again.pid != process.pid
        assert await again.wait() == 7
    assert await process.wait() == 0


async def test_a_start_that_is_given_up_leaves_no_answer_to_the_next_request(
    server: ForkServer, child: Child
) -> None:
    first = await child.start(server, "import os\nos._exit(3)")
    assert await first.wait() == 3
    with ExitStack() as stack:
        none, other = Child(child.folder, stack), Child(child.folder, stack)
        await _given_up(server, none.start(server, "import os\nos._exit(5)"))
        none.channel.close()  # as who gives up does
        async with asyncio.timeout(20):
            again = await other.start(server, "import os\nos._exit(7)")
            assert await again.wait() == 7
            assert server._template is not None
            while children_of(server._template.pid):  # noqa: ASYNC110 - the kernel tells nobody
                await asyncio.sleep(0.01)  # the one that was given up is not reaped yet


async def test_it_ends_with_its_server(server: ForkServer, child: Child) -> None:
    process = await child.start(server, "def pull(api, context): return []")
    await child.result()
    assert await process.wait() == 0
    assert server._template is not None
    template = server._template.pid
    server.close()
    wait_for_end(template)
    server.close()


def test_variables_that_hold_no_secret() -> None:
    given = {"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "x", "TOKEN": "t", "LANGUAGE": "de"}
    assert plain_environment(given) == {"PATH": "/bin", "LC_ALL": "C", "PYTHONPATH": "x"}
