"""Secrets that come in environment variables: taken out of them, so that no child inherits them.

What was taken is remembered for the life of this process, which may open a vault again. The same
user still sees what this process was started with (``/proc/PID/environ``).
"""

import os
import threading
from typing import Final

_taken: Final[dict[str, str]] = {}
_lock: Final = threading.Lock()


def take_variable(name: str) -> str | None:
    """Take a variable out of the environment; None where it is not set and never was taken."""
    with _lock:
        value = os.environ.pop(name, None)
        if value:
            _taken[name] = value
        return _taken.get(name)


def is_set(name: str) -> bool:
    """Tell whether a variable is in the environment, not yet taken out of it."""
    return bool(os.environ.get(name))


def forget_key(kind: str, name: str) -> bool:
    """Drop the variable that an ``env`` seal was opened with; tell whether there was one.

    For a process that is all ours (CHECKLIST 129): another program may open its vault again.

    Args:
        kind: of the seal.
        name: of the variable.
    """
    return kind == "env" and os.environ.pop(name, None) is not None
