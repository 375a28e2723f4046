"""Stands between a client and a real Postgres: falls silent, swallows what is told, hangs up."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal

from sqlalchemy.engine import URL

# in the protocol's message formats
NOTIFICATION: Final = b"A"  # NotificationResponse
COMPLETE: Final = b"C"  # CommandComplete; it names the command
COMMIT: Final = b"COMMIT"


class Relay:
    """Passes connections on to a server.

    Attributes:
        url: of the database by way of here.
        is_silent: nothing comes back any more, as from a host that is gone.
        is_deaf: notifications do not come back, as through a pooler of transactions.
        commits: what becomes of a COMMIT; unless it passes, the connection is cut: before the
            server has heard of it, or after it has been carried out and before that is told.
    """

    def __init__(self, url: URL) -> None:
        self._target = url
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.url = url
        self.is_silent = False
        self.is_deaf = False
        self.commits: Literal["pass", "are lost", "are not answered"] = "pass"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        plain = {"sslmode": "disable", "gssencmode": "disable"}
        self.url = self._target.set(host="127.0.0.1", port=port, query=plain)

    async def stop(self) -> None:
        """Refuse and end all connections."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = self._target.query.get("host") or self._target.host
        assert isinstance(host, str)
        port = self._target.port or 5432
        if host.startswith("/"):
            opening = asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            opening = asyncio.open_connection(host, port)
        back, forth = await opening
        self._writers += [writer, forth]
        with suppress(OSError, asyncio.IncompleteReadError):
            await asyncio.gather(self._ask(reader, forth), self._answer(back, writer))
        forth.close()
        writer.close()

    async def _ask(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while asked := await reader.read(65536):
            if self.commits == "are lost" and COMMIT in asked:
                break
            server.write(asked)
        server.close()

    async def _answer(self, server: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while True:
            head = await server.readexactly(5)
            body = await server.readexactly(struct.unpack("!I", head[1:])[0] - 4)
            is_committed = head[:1] == COMPLETE and body.startswith(COMMIT)
            if is_committed and self.commits == "are not answered":
                client.close()
                return
            if not self.is_silent and not (self.is_deaf and head[:1] == NOTIFICATION):
                client.write(head + body)


@asynccontextmanager
async def relay(url: URL) -> AsyncIterator[Relay]:
    """Give a way to a database that can be disturbed."""
    made = Relay(url)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
