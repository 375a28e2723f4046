"""No core dump of a process that has the vault's keys in memory (CHECKLIST 168).

The limit of zero keeps the kernel from writing a file; where ``core_pattern`` names a program it is
run all the same (core(5)), which `PR_SET_DUMPABLE` forbids. A child process that runs another
program begins anew with both as they were, but for the limit.
"""

import contextlib
import sys

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


def forbid_core_dumps() -> None:
    """Keep a crash from writing the vault's keys to disk."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every platform
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _prctl(_PR_SET_DUMPABLE)


def are_core_dumps_forbidden() -> bool:
    """Tell whether a crash of this process writes nothing, as far as the system says so."""
    try:
        import resource

        is_limited = resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    except (ImportError, OSError):
        return False
    return is_limited and _prctl(_PR_GET_DUMPABLE) in {0, None}


def _prctl(option: int) -> int | None:
    """Ask Linux; None on another system."""
    if sys.platform != "linux":
        return None
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        return int(ctypes.CDLL(None).prctl(option, 0, 0, 0, 0))
    return None
