"""A channel that runs a command: the notice stands on its standard input, as JSON.

No shell is involved. Exit status 0 means that it was told; any other that it was not. The command
leads a process group of its own, which is killed when it takes too long. Of what it prints the
first line is logged where it fails. It gets our environment without the variables that hold
secrets (CHECKLIST 129).
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Collection
from pathlib import Path
from typing import Final

from connector.notices.channel import SEND_TIME, Undelivered
from connector.notices.sentences import shown
from connector.notices.wording import Message

#: Of what it prints so much is looked at (bytes).
_KEPT_OUTPUT: Final = 4096


class CommandChannel:
    """Runs a command.

    Args:
        command: the program and its arguments.
        folder: in which it runs, and to which a program with a slash in its name is relative.
        hidden_variables: environment variables that it does not get.
        limit: seconds that it may take.

    Attributes:
        name: as of every channel.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        *,
        folder: Path,
        hidden_variables: Collection[str],
        limit: float = SEND_TIME,
    ) -> None:
        self.name = "command"
        program, *arguments = command
        if "/" in program:
            program = str(folder / Path(program).expanduser())
        self._command = (program, *arguments)
        self._folder = folder
        self._hidden = frozenset(hidden_variables)
        self._limit = limit

    async def send(self, message: Message, *, now: float) -> None:  # noqa: ARG002
        """Run it once; see `channel.Channel`."""
        environment = {
            name: value for name, value in os.environ.items() if name not in self._hidden
        }
        program, *arguments = self._command
        line = json.dumps(message.body, ensure_ascii=False).encode() + b"\n"
        with contextlib.closing(_Output()) as output:
            try:
                process = await asyncio.create_subprocess_exec(
                    program,
                    *arguments,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=output.pipe,
                    stderr=output.pipe,
                    cwd=self._folder,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise Undelivered(f"the command cannot be started: {error.strerror}") from None
            is_over = False
            try:
                async with asyncio.timeout(self._limit):
                    await _converse(process, line)
                is_over = True
            except TimeoutError:
                raise Undelivered(f"the command took longer than {self._limit:g} s") from None
            finally:
                if not is_over:
                    _kill_group(process.pid)
                    await process.wait()
            if process.returncode != 0:
                said = output.first_line()
                how = f"exit status {process.returncode}" + (f": {said}" if said else "")
                raise Undelivered(f"the command failed, {how}")

    async def aclose(self) -> None:
        """Nothing is held."""


async def _converse(process: asyncio.subprocess.Process, line: bytes) -> None:
    """Give the command its line, and wait for its end; what it has started may outlive it."""
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(ConnectionError):  # it need not read
        process.stdin.write(line)
        await process.stdin.drain()
    process.stdin.close()
    await process.wait()


class _Output:
    """What a command prints: the beginning is kept, the rest is let go.

    The pipe is ours, and not asyncio's: that would wait for everybody who holds it, such as a
    program that the command has left behind.

    Attributes:
        pipe: to print to.
    """

    def __init__(self) -> None:
        self._reading, self.pipe = os.pipe()
        os.set_blocking(self._reading, False)
        self._kept = bytearray()
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def first_line(self) -> str:
        """Give the first line that was printed."""
        while self._read():
            continue
        return shown(self._kept.decode(errors="replace").strip().partition("\n")[0])

    def close(self) -> None:
        """Close both ends."""
        asyncio.get_running_loop().remove_reader(self._reading)
        os.close(self._reading)
        os.close(self.pipe)

    def _read(self) -> bool:
        """Take what is there; whether anything was."""
        try:
            chunk = os.read(self._reading, 65_536)
        except BlockingIOError:
            return False
        self._kept += chunk[: _KEPT_OUTPUT - len(self._kept)]
        return True


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
