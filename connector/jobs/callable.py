"""Runs a user's function in a child process and serves its requests for tokens.

The child leads a process group of its own, which is killed at the deadline with whatever it has
started. What it prints is logged line by line, with the tokens that it was given masked. It gets
our environment without the variables that hold secrets (CHECKLIST 129).
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import quote

from connector.credential import CredentialSource
from connector.errors import ConnectorError, TemporarilyUnavailable
from connector.jobs.channel import (
    LARGEST_MESSAGE,
    Message,
    decode,
    dump_credential,
    dump_error,
    encode,
)
from connector.jobs.order import Order, Result
from connector.jobs.output import LONGEST_LINE, Output
from connector.oauth.token import AccessToken
from connector.store.audit_entry import Actor, acting_as

logger = logging.getLogger(__name__)

#: A child that has told its result is given this long to end, and so is one that is asked to stop,
#: before it is killed (seconds).
GRACE: Final = 2.0
#: Variables that hold our own secrets, or lead to them; no run gets them (CHECKLIST 127, 129).
OWN_VARIABLES: Final = frozenset(
    {"CONNECTOR_VAULT_URL", "CONNECTOR_VAULT_SEAL", "CREDENTIALS_DIRECTORY"}
)


class CallableRun:
    """One child process.

    Args:
        order: what to run.
        credentials: where its tokens come from.
        on_progress: told after each commit.
    """

    def __init__(
        self,
        order: Order,
        credentials: CredentialSource,
        on_progress: Callable[[Result], None] | None = None,
    ) -> None:
        self._order = order
        self._credentials = credentials
        self._on_progress = on_progress
        self.result = Result(kind="Killed")
        self._given: set[str] = set()
        self._secrets: set[str] = set()
        self._refusal: ConnectorError | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self._actor = Actor(kind="job", name=order.job, through=f"run {order.run_id}")
        self._extra = {"job": order.job, "account": order.account, "run": order.run_id}

    async def run(self) -> Result:
        """Run the child to its end, or kill it at the deadline."""
        try:
            base_url = (await self._credentials.credential(self._order.account, None)).api.base_url
        except ConnectorError as error:
            return Result(kind=type(error).__name__, error=str(error))
        output = Output(self._mask, self._extra)
        ours, theirs = socket.socketpair()
        try:
            try:
                with theirs:
                    process = await self._spawn(theirs, output)
            except OSError as error:
                self.result.error = f"its process cannot be started: {error}"
            else:
                await self._supervise(process, ours, base_url)
        finally:
            ours.close()
            await output.aclose()
        return self.result

    async def _spawn(self, theirs: socket.socket, output: Output) -> asyncio.subprocess.Process:
        """Start the child.

        Raises:
            OSError: it cannot be started.
        """
        hidden = self._order.hidden_variables | OWN_VARIABLES
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        pipes = [await output.pipe("stdout"), await output.pipe("stderr")]
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a module beside the configuration must not shadow ours
                "-m",
                "connector.jobs.child",
                str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipes[0],
                stderr=pipes[1],
                cwd=self._order.folder,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        finally:
            for pipe in pipes:
                os.close(pipe)

    async def _supervise(
        self, process: asyncio.subprocess.Process, ours: socket.socket, base_url: str | None
    ) -> None:
        """Serve a child until it has told its result, or its deadline; then see to its end."""
        reader, writer = await asyncio.open_connection(sock=ours, limit=LARGEST_MESSAGE)
        is_over = False
        try:
            async with asyncio.timeout(self._order.deadline):
                await self._converse(reader, writer, base_url)
            is_over = True
        except TimeoutError:
            self.result.kind = "Deadline"
            self.result.error = f"killed at its deadline of {self._order.deadline:g} s"
        finally:
            for task in self._requests:
                task.cancel()
            await _end(process, is_over=is_over)
            writer.close()
        if self.result.kind == "Killed":
            how = _exit_of(process)
            self.result.error = f"the process ended without a result ({how})"

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, base_url: str | None
    ) -> None:
        """Send the order, then answer until the result has come or the child is gone."""
        writer.write(encode(self._order_message(base_url)))
        try:
            while line := await reader.readline():
                message = decode(line)
                self._receive(message, writer)
                if message["type"] == "result":
                    return
        except (ValueError, LookupError, TypeError, ConnectionError) as error:
            self.result.kind = "Channel"
            self.result.error = f"the process sent what is no message: {type(error).__name__}"

    def _order_message(self, base_url: str | None) -> Message:
        order = self._order
        return {
            "type": "order",
            "run": order.run,
            "folder": str(order.folder),
            "job": order.job,
            "account": order.account,
            "account_id": order.account_id,
            "run_id": order.run_id,
            "destination": order.destination,
            "table": order.table,
            "key": list(order.key),
            "since": order.since,
            "options": dict(order.options),
            "base_url": base_url,
        }

    def _receive(self, message: Message, writer: asyncio.StreamWriter) -> None:
        kind = message["type"]
        if kind == "credential":
            task = asyncio.create_task(self._answer(message, writer))
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)
        elif kind == "progress":
            self._note(message)
            if self._on_progress is not None:
                self._on_progress(self.result)
        elif kind == "log":
            text = self._mask(cast("str", message["message"]))[:LONGEST_LINE]
            logger.log(
                cast("int", message["level"]), text, extra={"action": "job.log", **self._extra}
            )
        elif kind == "result":
            self._note(message)
            self.result.kind = cast("str | None", message["kind"])
            error = cast("str | None", message["error"])
            self.result.error = None if error is None else self._mask(error)[:LONGEST_LINE]
            if self.result.kind == type(self._refusal).__name__:
                self.result.error = str(self._refusal)  # in the words of who knows the provider

    def _note(self, message: Message) -> None:
        self.result.records = cast("int", message["records"])
        self.result.batches = cast("int", message["batches"])
        self.result.cursor = message["cursor"]

    async def _answer(self, message: Message, writer: asyncio.StreamWriter) -> None:
        """Give the child a credential of the account that the run is for, and of no other."""
        value = cast("str | None", message["rejected"])
        rejected = None if value is None else AccessToken(value=value)
        answer: Message = {"id": message["id"]}
        try:
            with acting_as(self._actor):
                credential = await self._credentials.credential(self._order.account, rejected)
        except Exception as error:  # the child waits for an answer, whatever it is
            if not isinstance(error, ConnectorError):
                extra = {"action": "job.bug", **self._extra}
                logger.exception("a credential failed by a bug", extra=extra)
                error = TemporarilyUnavailable("a token cannot be had: a bug of Connector's")
            self._refusal = error
            answer |= {"type": "refusal", "body": dump_error(error)}
        else:
            self._given.add(credential.token.value)
            self.result.tokens = len(self._given)
            for secret in (credential.token.value, *credential.params.values()):
                self._secrets |= {secret, quote(secret, safe="")}
            answer |= {"type": "credential", "body": dump_credential(credential)}
        writer.write(encode(answer))

    def _mask(self, text: str) -> str:
        for value in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(value, "[access token]")
        return text


async def _end(process: asyncio.subprocess.Process, *, is_over: bool) -> None:
    """Let a child end that is over, stop one that is not; then kill whatever it has started."""
    try:
        if is_over:
            await _ends(process)
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGTERM)
            await _ends(process)
    finally:
        _signal_group(process.pid, signal.SIGKILL)
        await process.wait()


async def _ends(process: asyncio.subprocess.Process) -> None:
    """Wait until a child ends, for as long as is allowed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await process.wait()


def _exit_of(process: asyncio.subprocess.Process) -> str:
    """Say how a process ended."""
    code = process.returncode or 0
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
