"""Runs a job in a child process and serves its requests for tokens.

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
import time
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
from connector.jobs.fork_server import ChildProcess, ForkedProcess, ForkServer, describe_exit
from connector.jobs.limit_ledger import LimitLedger, LimitShare
from connector.jobs.masking import Mask
from connector.jobs.memory import OF_PYTHON, kill_with_descendants, until_over
from connector.jobs.order import Order, Result
from connector.jobs.output import LONGEST_LINE, Lines, Output
from connector.jobs.spawning import start_process
from connector.oauth.token import AccessToken
from connector.providers.provider import Api
from connector.settings.destinations import resolve_destination
from connector.settings.memory import format_memory
from connector.store.audit_entry import Actor, acting_as

logger = logging.getLogger(__name__)

#: A child that has told its result is given this long to end, and so is one that is asked to stop,
#: before it is killed (seconds).
GRACE: Final = 2.0
#: Variables that hold our own secrets, or lead to them; no run gets them (CHECKLIST 127, 129).
OWN_VARIABLES: Final = frozenset(
    {"CONNECTOR_VAULT_URL", "CONNECTOR_VAULT_SEAL", "CREDENTIALS_DIRECTORY"}
)
#: What a child tells of how far it is, by the names of `Result`.
_TOLD: Final = frozenset(
    {"records", "batches", "pages", "bytes", "retries", "waited", "cursor", "place"}
) | {"rejected", "rejection"}


class ChildRun:
    """One child process.

    Args:
        order: what to run.
        credentials: where its tokens come from.
        on_progress: told after each commit.
        fork_server: starts its process; None: a new Python does.
        limits: of rates, which it shares with other runs.
        on_preview: takes what a preview shows.
        on_line: told of each line that it says: a level, ``stdout`` or ``stderr``, and the text.
    """

    def __init__(
        self,
        order: Order,
        credentials: CredentialSource,
        on_progress: Callable[[Result], None] | None = None,
        fork_server: ForkServer | None = None,
        limits: LimitLedger | None = None,
        on_preview: Callable[[Message], None] | None = None,
        on_line: Callable[[str, str], None] = lambda _kind, _text: None,
    ) -> None:
        self._order = order
        self._limits = limits or LimitLedger(time.monotonic)
        self._on_preview = on_preview
        self._fork_server = fork_server
        self._credentials = credentials
        self._on_progress = on_progress
        self.result = Result(kind="Killed")
        self._given: set[str] = set()
        self._mask = Mask()
        self._url = ""
        self._refusal: ConnectorError | None = None
        self._requests: set[asyncio.Task[None]] = set()
        self._actor = Actor(kind="job", name=order.job, through=f"run {order.run_id}")
        self._extra = {"job": order.job, "account": order.account, "run": order.run_id}
        self._lines = Lines(self._mask.text, self._extra, on_line)

    async def run(self) -> Result:
        """Run the child to its end, or kill it at the deadline."""
        try:
            api = (await self._credentials.credential(self._order.account, None)).api
            if not self._order.preview:
                await self._resolve()
        except ConnectorError as error:
            return Result(kind=type(error).__name__, error=str(error))
        output = Output(self._lines)
        try:
            process, ours = await start_process(self._fork_server, output)
        except OSError as error:
            self.result.error = f"its process cannot be started: {error}"
        else:
            with ours:
                await self._supervise(process, ours, api)
        finally:
            await output.aclose()
        return self.result

    async def _resolve(self) -> None:
        """Read the secrets of the destination; what holds them is never shown.

        Raises:
            ConfigurationError: one is missing.
        """
        resolved = await asyncio.to_thread(resolve_destination, self._order.destination)
        self._url = resolved.url
        for secret in filter(None, resolved.secrets):
            self._mask.hide(secret, "[secret]")

    async def _supervise(self, process: ChildProcess, ours: socket.socket, api: Api) -> None:
        """Serve a child until it has told its result, or its deadline; then see to its end."""
        reader, writer = await asyncio.open_connection(sock=ours, limit=LARGEST_MESSAGE)
        is_over = False
        watch = asyncio.create_task(self._watch(process))
        try:
            async with asyncio.timeout(self._order.deadline):
                await self._converse(reader, writer, api)
            is_over = True
        except TimeoutError:
            self.result.kind = "Deadline"
            self.result.error = f"killed at its deadline of {self._order.deadline:g} s"
        finally:
            for task in (*self._requests, watch):
                task.cancel()
            await _end(process, is_over=is_over)
            writer.close()
        if self.result.kind == "Killed":
            how = describe_exit(process)
            self.result.error = f"the process ended without a result ({how})"

    async def _watch(self, process: ChildProcess) -> None:
        """Kill a child that takes more memory than it may; what it has told by then holds."""
        limit = self._order.memory
        if limit is None:
            return
        inherited = process.inherited if isinstance(process, ForkedProcess) else OF_PYTHON
        taken = await until_over(process.pid, inherited, limit)
        self.result.kind = "Memory"
        self.result.error = (
            f"killed at its memory limit of {format_memory(limit)}: it took {format_memory(taken)};"
            " have it hold fewer records at once, or set a larger memory for the job"
        )
        kill_with_descendants(process.pid)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, api: Api
    ) -> None:
        """Send the order, then answer until the result has come or the child is gone."""
        writer.write(
            encode({**self._order.message(self._url, api), "environment": self._environment()})
        )
        share = LimitShare(
            self._limits,
            provider=self._order.provider,
            account_id=self._order.account_id,
            send=lambda message: writer.write(encode(message)),
        )
        try:
            while line := await reader.readline():
                message = decode(line)
                if not share.receive(message):
                    self._receive(message, writer)
                if message["type"] == "result":
                    return
                await self._lines.rest()
        except ConnectionError:  # it has ended before it read all that we sent
            return
        except (ValueError, LookupError, TypeError) as error:
            self.result.kind = "Channel"
            self.result.error = f"the process sent what is no message: {type(error).__name__}"
        finally:
            share.close()

    def _environment(self) -> dict[str, str]:
        hidden = self._order.hidden_variables | OWN_VARIABLES
        return {name: value for name, value in os.environ.items() if name not in hidden}

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
        elif kind == "schema":
            told = self._mask.text(cast("str", message["message"]))[:LONGEST_LINE]
            logger.info(told, extra={"action": "job.schema", **self._extra})
        elif kind == "log":
            level = cast("int", message["level"])
            name = logging.getLevelName(level).lower()
            text = cast("str", message["message"])
            self._lines.take(text, {"action": "job.log"}, kind=name, level=level)
        elif kind in {"request", "records"} and self._on_preview is not None:
            self._on_preview(cast("Message", self._mask.value(message)))
        elif kind == "result":
            self._note(message)
            self.result.kind = cast("str | None", message["kind"])
            error = cast("str | None", message["error"])
            self.result.error = None if error is None else self._mask.text(error)[:LONGEST_LINE]
            if self.result.kind == type(self._refusal).__name__:
                self.result.error = str(self._refusal)  # in the words of who knows the provider

    def _note(self, message: Message) -> None:
        for name in _TOLD & message.keys():
            value = message[name]
            setattr(self.result, name, self._mask.value(value) if name == "place" else value)

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
            self._refusal = None
            self._given.add(credential.token.value)
            self.result.tokens = len(self._given)
            for secret in (credential.token.value, *credential.params.values()):
                for form in (secret, quote(secret, safe="")):
                    self._mask.hide(form, "[access token]")
            answer |= {"type": "credential", "body": dump_credential(credential)}
        writer.write(encode(answer))


async def _end(process: ChildProcess, *, is_over: bool) -> None:
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


async def _ends(process: ChildProcess) -> None:
    """Wait until a child ends, for as long as is allowed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await process.wait()


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
