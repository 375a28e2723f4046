"""Templates that do not answer as they must: runs start all the same, and those under way go on."""

import asyncio
import logging
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connector.jobs import template_process
from connector.jobs.fork_server import ForkServer
from connector.jobs.template_process import TemplateProcess
from connector.store.runs import Ending
from tests.unit.jobs.bench import Jobs, is_running, wait_for_end
from tests.unit.workbench import ACCOUNT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux alone")

#: Says that it is there, and ends in a way of its own once it is told to.
WAITING = """
import os, pathlib, time
def pull(api, context):
    pathlib.Path("there.tmp").write_text(str(os.getpid()))
    os.rename("there.tmp", "there")
    while not os.path.exists("end"):
        time.sleep(0.01)
    os._exit(7)
"""
#: Tells each time that it is called, and whose child it is.
COUNTING = """
import os
def pull(api, context):
    with open("called", "a") as called:
        called.write(".")
    return [{"id": os.getppid()}]
"""


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have answers waited for less long; what has to come has come by then."""
    monkeypatch.setattr(template_process, "ANSWERS_WITHIN", 2.0)


def template_of(jobs: Jobs) -> TemplateProcess:
    """Give the template, which has been started."""
    assert jobs.runner.fork_server is not None
    template = jobs.runner.fork_server._template
    assert template is not None
    return template


async def begin(jobs: Jobs) -> "tuple[asyncio.Task[Ending], int]":
    """Begin a run that waits; give it, and its process's id."""
    jobs.write(WAITING, "waits")
    job = jobs.job(name="waits", run="waits:pull")

    async def run() -> Ending:
        ending = await jobs.runner.run(job, ACCOUNT, due_at=None)
        assert ending is not None
        return ending

    running, there = asyncio.create_task(run()), jobs.bench.folder / "there"
    async with asyncio.timeout(20):
        while not there.exists():
            assert not running.done(), running.result()
            await asyncio.sleep(0.01)  # looks for it
    return running, int(there.read_text())


def is_reaped(pid: int) -> bool:
    """Tell whether nothing is left of a process, not even a zombie."""
    return not Path(f"/proc/{pid}").exists()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give what was logged of lost templates."""
    records = [one for one in caplog.records if getattr(one, "action", "") == "run.template_lost"]
    assert all(one.levelno == logging.WARNING for one in records)
    return [one.getMessage() for one in records]


def pretend(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Have a template that is changed somehow before it serves."""
    script = folder / "template.py"
    script.write_text(f"import os\nfrom connector.jobs import fork_template\n{code}")
    monkeypatch.setattr(template_process, "_COMMAND", (sys.executable, "-P", str(script)))


@pytest.mark.usefixtures("limits")
async def test_one_that_stands_still_holds_no_run_and_those_under_way_go_on(
    jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    running, pid = await begin(jobs)
    template = template_of(jobs)
    os.kill(template.pid, signal.SIGSTOP)
    endings = await asyncio.gather(
        *(jobs.runner.run(jobs.job(name=name), ACCOUNT, due_at=None) for name in "abc"),
        asyncio.to_thread(jobs.write, COUNTING),
    )
    assert [one.outcome for one in endings[:3] if one] == ["succeeded"] * 3
    await asyncio.to_thread(wait_for_end, template.pid)
    assert is_running(pid)
    (jobs.bench.folder / "end").touch()
    assert (await running).error == "the process ended without a result (exit status 7)"
    assert is_reaped(pid)
    (message,) = told(caplog)
    assert "gave no answer within 2 s; another one takes its place" in message
    assert template_of(jobs) is not template
    assert (
        await jobs.run(COUNTING.replace("os.getppid()", "-os.getppid()"))
    ).outcome == "succeeded"
    assert (-template_of(jobs).pid,) in jobs.rows("id")


@pytest.mark.usefixtures("limits")
async def test_a_run_that_ends_while_it_stands_still_ends(jobs: Jobs) -> None:
    running, pid = await begin(jobs)
    os.kill(template_of(jobs).pid, signal.SIGSTOP)
    (jobs.bench.folder / "end").touch()
    async with asyncio.timeout(30):
        assert (await running).error == "the process ended without a result (exit status 7)"
    assert is_reaped(pid)


async def test_how_a_run_ends_whose_template_was_killed_is_not_guessed(jobs: Jobs) -> None:
    running, _pid = await begin(jobs)
    os.kill(template_of(jobs).pid, signal.SIGKILL)
    (jobs.bench.folder / "end").touch()
    assert (await running).error == "the process ended without a result (how is not known)"


@pytest.mark.parametrize(
    ("code", "says"),
    [
        # it dies when it has forked: there is a process that nobody knows of
        ("fork = os.fork\nos.fork = lambda: fork() and os._exit(1)", "has ended"),
        ("fork_template._fork = lambda _: 'three'", "has ended"),
        ("fork_template._fork = lambda _: 4194303", "answered what is no process of its own"),
    ],
)
async def test_one_that_answers_wrongly_fails_no_run(
    jobs: Jobs,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: str,
    says: str,
) -> None:
    pretend(monkeypatch, jobs.bench.folder, f"{code}\nfork_template.main()")
    ending = await jobs.run(COUNTING)
    assert (ending.outcome, ending.records, ending.error) == ("succeeded", 1, None)
    assert (jobs.bench.folder / "called").read_text() == "."
    assert [message.split("forked from ")[1].split(";")[0] for message in told(caplog)] == [says]


async def test_one_that_names_a_process_of_somebody_else_has_it_killed_by_nobody(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    other = subprocess.Popen(command, start_new_session=True)  # noqa: ASYNC220 - at once
    try:
        code = f"fork_template._fork = lambda _: {other.pid}\nfork_template.main()"
        pretend(monkeypatch, jobs.bench.folder, code)
        assert (await jobs.run(COUNTING)).outcome == "succeeded"
        (message,) = told(caplog)
        assert "answered what is no process of its own" in message
        assert is_running(other.pid)
    finally:
        other.kill()
        other.wait()


async def test_one_that_answers_what_is_no_number_fails_no_run(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it has forked and does not tell is ended, and ran nothing."""
    code = """
import socket
class Garbling(socket.socket):
    def send(self, data):
        open(__file__ + ".forked", "wb").write(data)
        return super().send(b"\\xff;1")
fork_template.socket.socket = Garbling
fork_template.main()
"""
    pretend(monkeypatch, jobs.bench.folder, code)
    ending = await jobs.run(COUNTING)
    assert (ending.outcome, ending.records, ending.error) == ("succeeded", 1, None)
    assert (jobs.bench.folder / "called").read_text() == "."
    forked = int((jobs.bench.folder / "template.py.forked").read_bytes())
    await asyncio.to_thread(wait_for_end, forked)
    (message,) = told(caplog)
    assert "answered what is no number" in message


async def test_one_that_has_too_many_open_files_is_replaced_and_its_runs_go_on(
    jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    running, pid = await begin(jobs)
    template = template_of(jobs)
    _, most = resource.prlimit(template.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(template.pid, resource.RLIMIT_NOFILE, (5, most))
    assert (await jobs.run(COUNTING)).outcome == "succeeded"
    (message,) = told(caplog)
    assert "has too many open files" in message
    await asyncio.to_thread(wait_for_end, template.pid)
    assert is_running(pid)
    (jobs.bench.folder / "end").touch()
    assert (await running).error == "the process ended without a result (exit status 7)"
    assert is_reaped(pid)


async def test_one_that_never_comes_to_answer_is_not_waited_for_each_time(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(template_process, "READY_WITHIN", 0.3)
    pretend(monkeypatch, jobs.bench.folder, "import signal\nsignal.pause()")
    for _ in range(2):
        ending = await jobs.run(COUNTING)
        assert (ending.outcome, ending.records) == ("succeeded", 1)
    assert len(told(caplog)) == 1
    server = jobs.runner.fork_server
    assert isinstance(server, ForkServer)
    assert server._template is None, "the second run has waited for none"
