"""Finds and ends what a run has started, however it has left its run's process group (Linux).

A process whose parent ends goes to the nearest forebear that has asked for that
(PR_SET_CHILD_SUBREAPER, prctl(2)). A run asks for its own; so what comes to the process that runs
are forked from is left by runs that have ended.
"""

import contextlib
import ctypes
import os
import signal
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
#: Each round ends what the one before has set free; then the next run is waited for, and what did
#: not end (it hangs in the kernel) is looked at again when that has ended.
_ROUNDS: Final = 20
#: Between two rounds (seconds).
_PAUSE: Final = 0.005


def adopt_orphans(*, is_wanted: bool = True) -> None:
    """Have descendants of this process come to it when their parents end, where that can be had.

    Args:
        is_wanted: False: from now on they go to where they went before.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(is_wanted), 0, 0, 0)


def end_children(spared: Collection[int]) -> None:
    """Kill the children of this process, and all that comes to it thereby.

    Args:
        spared: the ids of those that go on.
    """
    for number in range(_ROUNDS):
        left = children().difference(spared)
        if not left:
            return
        if number:
            time.sleep(_PAUSE)
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def children() -> set[int]:
    """Give the ids of this thread's children; none where the kernel does not tell (proc(5))."""
    return _children(Path(f"/proc/self/task/{threading.get_native_id()}"))


def children_of(pid: int) -> set[int]:
    """Give the ids of another process's children, of all its threads; none where it has ended."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return set()
    return set().union(*(_children(thread) for thread in threads))


def parent_of(pid: int) -> int | None:
    """Give the id of a process's parent; None: there is no such process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def state_of(pid: int) -> str | None:
    """Give a process's state, ``T`` of one that is stopped; None: there is no such process."""
    fields = _stat(pid)
    return fields[0] if fields else None


def _children(thread: Path) -> set[int]:
    try:
        text = (thread / "children").read_text()
    except OSError:
        return set()
    return {int(pid) for pid in text.split()}


def _stat(pid: int) -> list[str]:
    """Give what follows the name in ``/proc/PID/stat`` (proc(5)); first the state, the parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
