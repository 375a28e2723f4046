"""Processes that ask for tokens when they are told to, and that may be killed or stopped.

All of a test session are forked from one that has its imports behind it, and talk over a socket in
lines of JSON: first ``{"pid": …}``, then an answer for each order.
"""

import asyncio
import contextlib
import importlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).parents[2]
#: Seconds; a machine may be busy.
PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a process got.

    Attributes:
        tokens: by account.
        errors: likewise, as name and message.
    """

    tokens: dict[str, str]
    errors: dict[str, str]


class Caller:
    """One process with a Connector of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._listening = asyncio.create_task(self._listen())
        self.pid = 0

    async def ask(self, *accounts: str, is_forced: bool = False) -> Heard:
        """Have it ask for the tokens of accounts, all at once.

        Args:
            accounts: whose.
            is_forced: each is refreshed.
        """
        said = await self._order("ask", accounts=accounts, is_forced=is_forced)
        return Heard(tokens=said["tokens"], errors=said["errors"])

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """End it without a word, and see that it is gone."""
        self.signal(signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            while Path(f"/proc/{self.pid}").exists():  # noqa: ASYNC110, ASYNC240 - no event
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Have it end in order, where it has not been killed."""
        self._writer.close()
        async with asyncio.timeout(PATIENCE):
            await self._listening

    async def _order(self, what: str, **details: object) -> Any:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        order = {"number": number, "what": what, **details}
        self._writer.write(json.dumps(order).encode() + b"\n")
        return await asyncio.wait_for(answer, PATIENCE)

    async def _listen(self) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await self._reader.readline():
                said = json.loads(line)
                self._answers.pop(said["number"]).set_result(said)
        for answer in self._answers.values():
            answer.set_exception(ConnectionError("the process has ended"))


@dataclass
class Callers:
    """The process that the others are forked from.

    Attributes:
        folder: where their sockets are; its name is short.
    """

    process: "subprocess.Popen[str]"
    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Self]:
        """Start it; whoever lives at the end is killed."""
        folder = Path(tempfile.mkdtemp(prefix="callers-"))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.callers"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield cls(process, folder)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            shutil.rmtree(folder, ignore_errors=True)

    @asynccontextmanager
    async def one(
        self,
        config: Path,
        *,
        busy_timeout: float = 10.0,
        constants: Mapping[str, float] | None = None,
    ) -> AsyncIterator[Caller]:
        """Fork a process and wait until its Connector is open.

        Args:
            config: its configuration file.
            busy_timeout: how long it waits for another writer, in seconds.
            constants: numbers of the program that are shorter in this test, by ``module:NAME``.
        """
        connected: asyncio.Future[Caller] = asyncio.get_running_loop().create_future()

        def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set_result(Caller(reader, writer))

        path = self.folder / f"{next(self.numbers)}"
        server = await asyncio.start_unix_server(connect, path)
        caller = None
        try:
            order = {
                "socket": str(path),
                "config": str(config),
                "busy_timeout": busy_timeout,
                "constants": dict(constants or {}),
            }
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            caller = await asyncio.wait_for(connected, PATIENCE)
            caller.pid = (await caller._order("begin"))["pid"]
            yield caller
        finally:
            if caller is not None:
                await caller.close()
            server.close()


# --- in the processes


async def _serve(socket: str, config: str) -> None:
    from connector import Connector

    reader, writer = await asyncio.open_unix_connection(socket)
    tasks = set()
    async with Connector.open_async(config) as connector:
        while line := await reader.readline():
            task = asyncio.create_task(_obey(connector, writer, json.loads(line)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    writer.close()


async def _obey(connector: Any, writer: asyncio.StreamWriter, order: dict[str, Any]) -> None:
    said: dict[str, Any] = {"number": order["number"], "pid": os.getpid()}
    if order["what"] == "ask":
        said |= {"tokens": {}, "errors": {}}
        await asyncio.gather(
            *(
                _ask(connector, name, said, is_forced=order["is_forced"])
                for name in order["accounts"]
            )
        )
    writer.write(json.dumps(said).encode() + b"\n")


async def _ask(connector: Any, account: str, said: dict[str, Any], *, is_forced: bool) -> None:
    from connector.errors import ConnectorError

    try:
        if is_forced:
            token = await connector._opened().tokens.refresh(account)
        else:
            token = await connector.get_token(account)
        said["tokens"][account] = token.value
    except ConnectorError as error:
        said["errors"][account] = f"{type(error).__name__}: {error}"


def _begin(order: dict[str, Any]) -> None:
    """Become one of the processes."""
    from connector.store.database import Database

    assert Database.__init__.__kwdefaults__ is not None
    Database.__init__.__kwdefaults__["busy_timeout"] = order["busy_timeout"]
    for place, value in order["constants"].items():
        module, _, name = place.partition(":")
        imported = importlib.import_module(module)
        assert hasattr(imported, name), place
        setattr(imported, name, value)
    asyncio.run(_serve(order["socket"], order["config"]))


def _import_all() -> None:
    """Import what a Connector imports, drivers included, and open nothing."""
    from sqlalchemy.engine import make_url

    from connector.oauth.wire import make_transport
    from connector.store.database import Database

    importlib.import_module("connector.connector")
    make_transport()
    for url in ("sqlite:////nowhere/vault.db", "postgresql://nobody@127.0.0.1:1/nothing"):
        Database(make_url(url), now=time.time)


def _main() -> None:
    _import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel clears away who has ended
    for line in sys.stdin:
        if os.fork() == 0:
            _begin(json.loads(line))
            os._exit(0)


if __name__ == "__main__":
    _main()
