"""Starts runs' processes by forking one that has imported everything already (Linux).

A new Python that imports what a run needs takes some 0.3 s of processor time and 30 MiB; ten
accounts on two cores would begin a second and a half late, and a thousand in an hour would cost
five minutes. A fork takes milliseconds and shares the memory. `connector.jobs.fork_template` says
what the other process does; nobody starts it before the first run.

A process of a run is a child of the template, so its end is seen through a pidfd, and its wait
status is asked for. Where the template is gone, runs under way go on: their channel is ours. Where
it does not answer, it is ended and another one started; no run waits for it longer than for an
answer, nor fails for it.
"""

import asyncio
import contextlib
import errno
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Any, Final, Protocol

from connector.jobs.descendants import parent_of
from connector.jobs.fork_template import FORK, REAP
from connector.jobs.memory import held_by
from connector.jobs.template_process import UNTOLD, TemplateLost, TemplateProcess

logger = logging.getLogger(__name__)

#: An answer that nobody wants any more is waited for so long; it takes milliseconds (seconds).
_LATEST: Final = 2.0
#: Where a template could not even import everything, the next one is started so much later
#: (seconds): runs need not wait for it each time.
_REST: Final = 60.0


class ChildProcess(Protocol):
    """The process of a run, as `asyncio.subprocess.Process` is one."""

    @property
    def pid(self) -> int:
        """Its id, which is its group's too."""
        ...

    @property
    def returncode(self) -> int | None:
        """Its exit status, or the negative signal; None: it runs."""
        ...

    async def wait(self) -> int:
        """Wait for its end."""
        ...


class ForkedProcess:
    """A process that the template has forked.

    Args:
        server: which is asked for its wait status.
        template: which has forked it.
        pid: its id.

    Attributes:
        inherited: what of the template's memory it has (bytes).

    Raises:
        OSError: there are too many open files.
    """

    def __init__(self, server: "ForkServer", template: TemplateProcess, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.inherited = held_by(template.pid)
        self._server = server
        self._template = template
        self._descriptor = os.pidfd_open(pid)
        self._ended = asyncio.Event()
        self._reaping: asyncio.Task[int] | None = None
        asyncio.get_running_loop().add_reader(self._descriptor, self._note_end)

    async def wait(self) -> int:
        """Wait for its end; what it has left of its group is killed before its id is given up."""
        await self._ended.wait()
        if self._reaping is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._reaping = asyncio.create_task(self._server.reap(self._template, self.pid))
        # whoever gives up leaves its status to who asks next
        self.returncode = await asyncio.shield(self._reaping)
        return self.returncode

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._ended.set()


class ForkServer:
    """Starts the template, and has it fork.

    One that is gone, or is lost, is followed by another one.
    """

    def __init__(self) -> None:
        self._template: TemplateProcess | None = None
        self._lost: set[TemplateProcess] = set()  # that are being ended
        self._one_at_a_time = asyncio.Lock()
        self._one_ending = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._rests_until = 0.0
        self._is_told = False

    def warm_up(self) -> TemplateProcess:
        """Start the template already: it imports beside whoever is not ready to run yet.

        Raises:
            OSError: it cannot be started.
        """
        if self._template is None:
            self._template = TemplateProcess()
        return self._template

    async def start(self, channel: int, stdout: int, stderr: int) -> ForkedProcess:
        """Start a process of a run.

        Args:
            channel: its end of the channel; ours stays open, as do those of the pipes.
            stdout: the end of a pipe that it writes to.
            stderr: the end of a pipe that it writes to.

        Raises:
            TemplateLost: the template has not answered; there may be a process that has the end of
                the channel, and ends when ours is closed.
            OSError: it cannot be started.
        """
        async with self._one_at_a_time:
            if asyncio.get_running_loop().time() < self._rests_until:
                raise TemplateLost("could not be had a moment ago")
            template = self._send(FORK, (channel, stdout, stderr))
            forking = asyncio.create_task(self._forked(template))
            try:
                return await asyncio.shield(forking)
            except TemplateLost as error:
                self._lose(template, str(error))
                raise
            except asyncio.CancelledError:
                await asyncio.wait({forking}, timeout=_LATEST)
                if not forking.done():
                    forking.cancel()
                    self._lose(template, f"gave no answer within {_LATEST:g} s")
                elif forking.exception() is None:  # it ends by itself, for its channel is closed
                    self._keep(forking.result().wait())
                raise

    async def reap(self, template: TemplateProcess, pid: int) -> int:
        """Give the exit status of a process that has ended, and forget it; `UNTOLD`: unknown."""
        async with self._one_at_a_time:
            if template is self._template:
                try:
                    template.send(REAP + str(pid).encode())
                    status = await template.answer()
                    template.runs.discard(pid)
                    return UNTOLD if status < 0 else os.waitstatus_to_exitcode(status)
                except (OSError, ValueError) as error:
                    self._lose(template, str(error))
        return await template.exit_code_here(pid)

    def close(self) -> None:
        """End the template; runs under way end when their channels are closed."""
        for template in (self._template, *self._lost):
            if template is not None:
                template.kill()
        self._template = None

    def _send(self, request: bytes, descriptors: tuple[int, ...]) -> TemplateProcess:
        """Send a request to the template; to another one where it is known to be gone.

        Raises:
            OSError: no template can be started.
        """
        for is_last in (False, True):
            template = self.warm_up()
            try:
                template.send(request, descriptors)
            except OSError:
                self._lose(template, "has ended")
                if is_last:
                    raise
            else:
                return template
        raise AssertionError("a loop of two ends")

    async def _forked(self, template: TemplateProcess) -> ForkedProcess:
        """Receive the answer to a request to fork.

        Raises:
            TemplateLost: there is none.
            OSError: it cannot fork, or we have too many open files.
        """
        pid = await template.answer()
        if pid == -errno.EMFILE:
            raise TemplateLost("has too many open files")
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        if parent_of(pid) != template.pid:  # it is killed one day: it must not be somebody else
            raise TemplateLost("answered what is no process of its own")
        template.runs.add(pid)
        self._is_told, self._rests_until = False, 0.0
        try:
            return ForkedProcess(self, template, pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            template.send(REAP + str(pid).encode())
            await template.answer()
            template.runs.discard(pid)
            raise

    def _lose(self, template: TemplateProcess, why: str) -> None:
        """Go on without a template, with another one if that is of use; once it is told."""
        if template is not self._template:
            return
        self._template = None
        self._lost.add(template)
        self._keep(self._end(template))
        if not self._is_told:
            self._is_told = True
            message = f"the process that runs are forked from {why}; another one takes its place"
            logger.warning(message, extra={"action": "run.template_lost", "pid": template.pid})
        if template.has_answered:
            with contextlib.suppress(OSError):  # the next run tells of it
                self.warm_up()
        else:
            self._rests_until = asyncio.get_running_loop().time() + _REST

    async def _end(self, template: TemplateProcess) -> None:
        async with self._one_ending:
            await template.end()
        self._lost.discard(template)

    def _keep(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextlib.contextmanager
def warmed_up() -> Iterator[ForkServer | None]:
    """Give a fork server whose template imports already, and end it; None: not on this platform."""
    if sys.platform != "linux":
        yield None
        return
    with contextlib.closing(ForkServer()) as server:
        with contextlib.suppress(OSError):  # the first run tells of it
            server.warm_up()
        yield server


def describe_exit(process: ChildProcess) -> str:
    """Say how a process ended."""
    code = process.returncode or 0
    if code == UNTOLD:
        return "how is not known"
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
