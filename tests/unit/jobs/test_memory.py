"""Runs that take more memory than they may, and those that only seem to."""

import asyncio
import sys
from pathlib import Path

import pytest

from connector.jobs import memory, template_process
from connector.jobs.memory import held_by, taken_by
from tests.unit.jobs.bench import Jobs, wait_for_end

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="is held on Linux alone")

MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def paces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often: no test waits for a second."""
    monkeypatch.setattr(memory, "PACE", 0.1)
    monkeypatch.setattr(memory, "NEAR_PACE", 0.05)


@pytest.mark.parametrize("is_forked", [True, False])
async def test_a_run_that_takes_too_much_is_killed_and_the_next_goes_on_there(
    jobs: Jobs, *, is_forked: bool
) -> None:
    if not is_forked:
        jobs.runner.close()
        jobs.runner.fork_server = None
    code = """
    import os, time
    def pull(api, context):
        begin = context.checkpoint or 0
        for number in range(begin, 4):
            context.checkpoint = number + 1
            yield [{"id": number}]
            if number == 2 and begin == 0:
                taken = []
                while True:
                    taken.append(b"x" * (50 << 20))
                    time.sleep(0.02)
    """
    ending = await jobs.run(code, memory=200 * MIB)
    assert (ending.outcome, ending.records) == ("failed", 3)
    assert ending.error is not None
    begin, _, rest = ending.error.partition(" it took ")
    assert begin == "killed at its memory limit of 200 MiB:"
    took, _, remedy = rest.partition(" MiB; ")
    assert 200 <= int(took.replace(",", "")) < 2000
    assert remedy == "have it hold fewer records at once, or set a larger memory for the job"
    assert (await jobs.last()).error == ending.error
    ending = await jobs.run(memory=200 * MIB)
    assert (ending.outcome, ending.records, ending.error) == ("succeeded", 1, None)
    assert jobs.rows("id") == [(0,), (1,), (2,), (3,)]


async def test_what_its_processes_take_is_counted_wherever_they_have_gone(jobs: Jobs) -> None:
    code = """
    import subprocess, sys, time
    def pull(api, context):
        code = "import time; x = b'x' * (150 << 20); time.sleep(600)"
        started = [
            subprocess.Popen([sys.executable, "-c", code], start_new_session=True) for _ in range(2)
        ]
        yield [{"id": one.pid} for one in started]
        time.sleep(600)
    """
    ending = await jobs.run(code, memory=200 * MIB)
    assert ending.error is not None
    assert ending.error.startswith("killed at its memory limit of 200 MiB: it took ")
    pids = [pid for (pid,) in jobs.rows("id")]
    assert len(pids) == 2
    for pid in pids:
        await asyncio.to_thread(wait_for_end, pid)


async def test_what_its_processes_share_is_counted_once(jobs: Jobs) -> None:
    """Looked at by process they take four times as much as the run does."""
    code = """
    import os, time
    def pull(api, context):
        taken = b"x" * (100 << 20)
        for _ in range(3):
            if not os.fork():
                time.sleep(600)
        time.sleep(0.6)
        return [{"id": len(taken)}]
    """
    ending = await jobs.run(code, memory=200 * MIB)
    assert (ending.outcome, ending.records, ending.error) == ("succeeded", 1, None)


async def test_what_is_the_templates_is_not_counted(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = jobs.bench.folder / "template.py"
    script.write_text(
        "from connector.jobs import fork_template\n"
        "imported = b'x' * (150 << 20)\n"
        "fork_template.main()\n"
    )
    monkeypatch.setattr(template_process, "_COMMAND", (sys.executable, "-P", str(script)))
    code = """
    import os, time
    def pull(api, context):
        time.sleep(0.3)
        if not os.fork():
            time.sleep(600)
        time.sleep(0.3)
        held = [line for line in open("/proc/self/status") if line.startswith("RssAnon")]
        return [{"id": int(held[0].split()[1])}]
    """
    ending = await jobs.run(code, memory=64 * MIB)
    assert (ending.outcome, ending.error) == ("succeeded", None)
    ((held,),) = jobs.rows("id")
    assert held > 150 * 1024, "it had it"


async def test_a_run_at_its_deadline_is_told_so(jobs: Jobs) -> None:
    code = "import time\ndef pull(*_): time.sleep(600)"
    ending = await jobs.run(code, memory=200 * MIB, deadline=0.5)
    assert ending.error == "killed at its deadline of 0.5 s"


def test_a_process_that_has_ended_takes_nothing() -> None:
    gone = 4194303  # above what the kernel gives (PID_MAX_LIMIT)
    assert not Path(f"/proc/{gone}").exists()
    assert held_by(gone) == 0
    assert taken_by(gone, 26 * MIB, 1) == 0


async def test_what_is_mapped_of_a_file_is_not_counted(jobs: Jobs) -> None:
    """The kernel takes it back by itself."""
    code = """
    import mmap, time
    def pull(api, context):
        with open("file", "w+b") as file:
            file.truncate(100 << 20)
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        assert not sum(mapped[place] for place in range(0, len(mapped), 4096))
        time.sleep(0.4)
        held = [line for line in open("/proc/self/status") if line.startswith("VmRSS")]
        return [{"id": int(held[0].split()[1])}]
    """
    ending = await jobs.run(code, memory=64 * MIB)
    assert (ending.outcome, ending.error) == ("succeeded", None)
    ((held,),) = jobs.rows("id")
    assert held > 100 * 1024, "it had it"
