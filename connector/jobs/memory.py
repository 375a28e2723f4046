"""What a run takes of the machine's memory, and whether that is more than it may (Linux).

Looked at from outside, in the process that watches the run: what the kernel counts of the run's
process and of all that descends from it. A limit within it (setrlimit(2)) counts addresses, and
fails an allocation somewhere in a library; see docs/adr/0029-memory-of-runs.md.
"""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Final

from connector.jobs.descendants import children_of
from connector.worker_thread import WorkerThread

#: How often a run is looked at, and one that takes more than half of its limit (seconds). A look
#: takes 0.4 ms.
PACE: Final = 1.0
NEAR_PACE: Final = 0.25
#: What a new Python has when it has imported what every run needs (bytes); a forked one has it too.
OF_PYTHON: Final = 26 * 1024 * 1024
#: Memory that nothing but an end gives back: a process's own, what it shares by other means than
#: a file, and what of both was swapped out. What is mapped of files the kernel takes back itself.
_HELD: Final = ("RssAnon:", "RssShmem:", "VmSwap:")
_HELD_BY_SHARE: Final = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")


def held_by(pid: int) -> int:
    """Give what one process holds, in bytes, whoever shares it; 0: it has ended."""
    return _sum(Path(f"/proc/{pid}/status"), _HELD)


def taken_by(pid: int, inherited: int, limit: int) -> int:
    """Give what a run takes, in bytes; that of shared memory which is its own.

    Args:
        pid: of its process.
        inherited: what of memory it had when it was forked: that is the template's. What it has
            changed of it since is not counted either.
        limit: where it takes less in any case, it is not looked at too closely, for that takes
            0.1 s for a GiB.
    """
    pids = [pid, *descendants_of(pid)]
    most = sum(held_by(one) for one in pids) - inherited
    if most > limit and len(pids) > 1:  # they may share what they have by a fork: it counts once
        shares = [_sum(Path(f"/proc/{one}/smaps_rollup"), _HELD_BY_SHARE) for one in pids]
        return max(0, sum(shares) - inherited)
    return max(0, most)


def descendants_of(pid: int) -> list[int]:
    """Give the ids of all that descends from a process, parents first."""
    found = [pid]
    for one in found:
        found.extend(children_of(one).difference(found))
    return found[1:]


async def until_over(pid: int, inherited: int, limit: int) -> int:
    """Watch a run until it takes more than it may; give what it takes then (bytes).

    Args:
        pid: of its process.
        inherited: see `taken_by`.
        limit: bytes.
    """
    # the kernel may have us wait for a process that is at odds with its memory
    thread = WorkerThread(f"memory of {pid}")
    pace = PACE
    with contextlib.closing(thread):
        while True:
            await asyncio.sleep(pace)
            taken = await thread.run(lambda: taken_by(pid, inherited, limit))
            if taken > limit:
                return taken
            pace = NEAR_PACE if taken > limit / 2 else PACE


def kill_with_descendants(pid: int) -> None:
    """Kill a run's group, and what has left it; one that grows is given no time to end by itself.

    Args:
        pid: of its process, which leads the group and is not reaped yet.
    """
    descendants = descendants_of(pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for one in descendants:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(one, signal.SIGKILL)


def _sum(file: Path, names: tuple[str, ...]) -> int:
    """Add up lines of a file of proc(5), in bytes; 0: the process has ended."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(names)) * 1024
