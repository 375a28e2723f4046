"""One template (`connector.jobs.fork_template`), as the process that has started it sees it.

It is asked one thing at a time, and has a limit for each answer. One that keeps silent, has ended
or says what is no answer is lost: it is ended, and what it has forked that is a run goes on. Its
runs become children of this process, which then sees how they end.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from connector.jobs.descendants import adopt_orphans, children_of, state_of
from connector.jobs.fork_template import LARGEST_REQUEST

#: What the template's own environment has: /proc shows it of every run, so no secret may be in it.
#: A run gets its environment over its channel.
_PLAIN_VARIABLES: Final = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "VIRTUAL_ENV")
_PLAIN_PREFIXES: Final = ("COVERAGE_", "LC_", "PYTHON")

_COMMAND: Final = (sys.executable, "-P", "-m", "connector.jobs.fork_template")
#: An answer takes milliseconds; on a host that swaps, more (seconds).
ANSWERS_WITHIN: Final = 5.0
#: The first one comes when everything is imported: half a second where nothing else goes on.
READY_WITHIN: Final = 20.0
#: A process that was sent SIGSTOP or SIGKILL has got it by then, unless it hangs in the kernel.
_SIGNALLED_WITHIN: Final = 2.0
_PAUSE: Final = 0.005
#: The exit status of a process that nobody here could wait for.
UNTOLD: Final = -(1 << 16)


class TemplateLost(OSError):
    """The template has not answered as it must; whether it has forked is not known."""


class TemplateProcess:
    """One template.

    Attributes:
        pid: its id.
        runs: ids of what it has forked, until they are reaped.
        has_answered: it has imported everything, once.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - ours
                    [*_COMMAND, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    cwd="/",
                    env=plain_environment(os.environ),
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        ours.settimeout(0)
        self._requests = ours
        self.pid = self._process.pid
        self.runs: set[int] = set()
        self.has_answered = False
        self._is_over = asyncio.Event()

    def send(self, request: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send a request.

        Raises:
            OSError: it has ended.
        """
        socket.send_fds(self._requests, [request], descriptors)

    async def answer(self) -> int:
        """Receive the answer to a request; below zero: an errno.

        Raises:
            TemplateLost: there is none.
        """
        limit = ANSWERS_WITHIN if self.has_answered else READY_WITHIN
        data = b""
        try:
            async with asyncio.timeout(limit):
                loop = asyncio.get_running_loop()
                data = await loop.sock_recv(self._requests, LARGEST_REQUEST)
            number = int(data)
        except TimeoutError:
            raise TemplateLost(f"gave no answer within {limit:g} s") from None
        except (OSError, ValueError):
            raise TemplateLost("answered what is no number" if data else "has ended") from None
        self.has_answered = True
        return number

    async def end(self) -> None:
        """End it; runs go on, as children of this process. One `end` at a time in a process."""
        try:
            # it must not fork, nor see that we have gone: then it would end its runs
            self._process.send_signal(signal.SIGSTOP)
            await _comes(lambda: self._process.poll() is not None or state_of(self.pid) == "T")
            strays = children_of(self.pid).difference(self.runs)
            for pid in strays:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            adopt_orphans()
            self._process.kill()
            await _comes(lambda: self._process.poll() is not None)
        finally:
            adopt_orphans(is_wanted=False)
            self._requests.close()
            self._is_over.set()
        await _comes(lambda: all(_exit_code(pid) is not None for pid in strays))

    def kill(self) -> None:
        """End it at once; its runs end when their channels are closed."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_SIGNALLED_WITHIN)
        self._requests.close()
        self._is_over.set()

    async def exit_code_here(self, pid: int) -> int:
        """Give the exit status of a run that has ended, where this template cannot be asked."""
        await self._is_over.wait()
        return UNTOLD if (code := _exit_code(pid)) is None else code


async def _comes(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that is told to nobody, or long enough."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SIGNALLED_WITHIN):
            while not is_so():  # noqa: ASYNC110 - the kernel tells it to whoever looks
                await asyncio.sleep(_PAUSE)


def _exit_code(pid: int) -> int | None:
    """Give the exit status of a child of ours; None: it runs, `UNTOLD`: it is none of ours."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return UNTOLD
    return os.waitstatus_to_exitcode(status) if ended else None


def plain_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the variables that no secret is in, and that a Python needs to start."""
    return {
        name: value
        for name, value in environment.items()
        if name in _PLAIN_VARIABLES or name.startswith(_PLAIN_PREFIXES)
    }
