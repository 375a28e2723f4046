"""Starts the process of a run: forked where there is a template that answers, else a new Python."""

import asyncio
import os
import socket
import sys

from connector.jobs.fork_server import ChildProcess, ForkServer
from connector.jobs.output import Output
from connector.jobs.template_process import TemplateLost, plain_environment


async def start_process(
    fork_server: ForkServer | None, output: Output
) -> tuple[ChildProcess, socket.socket]:
    """Start a process; give it with our end of its channel.

    Args:
        fork_server: starts it; None: a new Python does.
        output: takes what it writes.

    Raises:
        OSError: it cannot be started.
    """
    pipes: list[int] = []
    try:
        for name in ("stdout", "stderr"):
            pipes.append(await output.pipe(name))  # noqa: PERF401 - each is closed, come what may
        if fork_server is not None:
            try:
                return await _start(pipes, fork_server)
            except TemplateLost:  # it is told; what it may have forked ends with its channel
                pass
        return await _start(pipes, None)
    finally:
        for pipe in pipes:
            os.close(pipe)


async def _start(
    pipes: list[int], fork_server: ForkServer | None
) -> tuple[ChildProcess, socket.socket]:
    """Start a process with a channel of its own.

    Raises:
        OSError: it cannot be started.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            if fork_server is not None:
                return await fork_server.start(theirs.fileno(), *pipes), ours
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a module beside the configuration must not shadow ours
                "-m",
                "connector.jobs.child",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipes[0],
                stderr=pipes[1],
                env=plain_environment(os.environ),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
            return process, ours
    except BaseException:
        ours.close()
        raise
