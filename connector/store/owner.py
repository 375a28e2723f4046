"""Who holds a lease, written so that another process can tell whether it is still there.

    boot id : PID namespace : PID : start time of the process : random

Only an owner on the same host can be found gone at once, where host means boot *and* PID namespace:
two containers may share a host name, and even a boot, and see different process tables. Any other
owner's lease is waited out.
"""

import os
import secrets
import time
from pathlib import Path
from typing import Final

from connector.boot import boot_id

_UNKNOWN: Final = "-"


def new_owner() -> str:
    """Name this process as an owner; each call gives a name of its own."""
    pid = os.getpid()
    parts = (_boot_id(), _pid_namespace(), str(pid), _start_time(pid) or _UNKNOWN)
    return ":".join((*parts, secrets.token_hex(8)))


def is_gone(owner: str, *, is_local: bool = False) -> bool:
    """Tell whether an owner is known to be gone: it ran on this host, and its process ended.

    Args:
        owner: as `new_owner` wrote it.
        is_local: only this host uses the database, so that an owner of another boot is gone too.
    """
    parts = owner.split(":")
    if len(parts) != 5:
        return False
    boot, namespace, pid, start_time, _ = parts
    if _UNKNOWN in (boot, namespace, start_time) or not pid.isdecimal():
        return False
    if is_local and boot != _boot_id() != _UNKNOWN:
        return True
    if (boot, namespace) != (_boot_id(), _pid_namespace()):
        return False
    started = _start_time(int(pid))
    if started is None and _is_hidden(int(pid)):
        return False
    return started != start_time


def is_present(owner: str) -> bool:
    """Tell whether an owner is known to be there: its process is seen on this host."""
    boot, namespace, pid, start_time = [*owner.split(":"), "", "", ""][:4]
    is_here = _UNKNOWN not in {boot, namespace} and (boot, namespace) == (
        _boot_id(),
        _pid_namespace(),
    )
    return is_here and pid.isdecimal() and _start_time(int(pid)) == start_time


def boot_time() -> float:
    """Give seconds since this host's boot, sleep included: one clock for all of its processes.

    Unlike the time of day it is never set, so that no lease ends early because somebody did.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def _boot_id() -> str:
    return boot_id() or _UNKNOWN


def _pid_namespace() -> str:
    """Give the identifier of this process's PID namespace (namespaces(7))."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116 - Path.stat opens no such link
    except OSError:
        return _UNKNOWN


def _start_time(pid: int) -> str | None:
    """Give when a process started, in clock ticks since boot (proc(5), ``stat`` field 22)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()  # its name may be any bytes
    except OSError:
        return None
    after_name = status.rpartition(b")")[2].split()
    is_over = len(after_name) < 20 or after_name[0] in {b"Z", b"X"}
    return None if is_over else after_name[19].decode("ascii", "replace")


def _is_hidden(pid: int) -> bool:
    """Tell whether there is a process that we may not look at (proc(5), ``hidepid``)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False  # one of our own user: what /proc says of it holds
