"""Becomes another program, which begins with what this one was given, not what it made of that.

Python ignores SIGPIPE, an event loop takes over SIGINT and SIGTERM, and the limit of core dumps is
lowered while there are keys in memory: execve(2) would pass all of it on.
"""

import contextlib
import errno
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import click

#: As shells have it: there is no such command; it is there but cannot be run.
NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126

_TAKEN: Final = (signal.SIGINT, signal.SIGTERM)
#: Ignored by Python itself, whatever it was given; subprocess puts them back alike.
_IGNORED_BY_PYTHON: Final = (signal.SIGPIPE, signal.SIGXFSZ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inheritance:
    """What this process was given.

    Attributes:
        ignored: signals that it was started with ignored (``nohup``, a job in the background).
        core_limit: soft and hard limit of core dumps.
    """

    ignored: tuple[signal.Signals, ...]
    core_limit: tuple[int, int]

    @classmethod
    def note(cls) -> "Inheritance":
        """Note it; to be called before anything is changed."""
        ignored = [one for one in _TAKEN if signal.getsignal(one) is signal.SIG_IGN]
        return cls(ignored=tuple(ignored), core_limit=resource.getrlimit(resource.RLIMIT_CORE))

    def restore(self) -> None:
        """Put it back; handlers of our own are reset by execve(2) itself."""
        for one in self.ignored:
            signal.signal(one, signal.SIG_IGN)
        for one in _IGNORED_BY_PYTHON:
            signal.signal(one, signal.SIG_DFL)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CORE, self.core_limit)


def become(
    command: Sequence[str], environment: Mapping[str, str], inheritance: Inheritance
) -> NoReturn:
    """Replace this process; where that cannot be, say why and exit as a shell does.

    Args:
        command: the program, looked for on ``PATH``, and its arguments.
        environment: all of it.
        inheritance: what is put back first.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    inheritance.restore()
    try:
        os.execvpe(command[0], list(command), dict(environment))  # noqa: S606 - that is the point
    except OSError as error:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)  # we go on for a line
        is_missing = error.errno in {errno.ENOENT, errno.ENOTDIR}
        reason = "there is no such command" if is_missing else error.strerror
        with contextlib.suppress(OSError):
            click.echo(f"connector: {_printable(command[0])}: {reason}", err=True)
        sys.exit(NOT_FOUND if is_missing else NOT_EXECUTABLE)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
