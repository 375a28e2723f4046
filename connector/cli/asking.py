"""Tokens for a command that hands them on: of the daemon where there is one, else of this process.

As ``connector token`` has it: the daemon on the configured socket is asked first; where there is
none, or it serves another configuration, the vault is opened here, once, and stays open until the
end. The lease makes both safe beside each other (CHECKLIST 153).
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from connector.cli.core_dumps import forbid_core_dumps
from connector.cli.session import opened
from connector.client import Token, account_path, document_of, token_of
from connector.local_daemon import Answer, DaemonUnreachable, exchange, open_socket
from connector.secret import Secret

if TYPE_CHECKING:
    from connector.oauth.token import AccessToken
    from connector.runtime import Runtime
    from connector.settings import Settings

T = TypeVar("T")


class Asking:
    """Asks for tokens; make one with `asking`.

    Args:
        settings: the configuration.
        stack: closes what was opened.
        lives_on: it is asked for long; see `session.opened`.
    """

    def __init__(
        self, settings: "Settings", stack: contextlib.AsyncExitStack, *, lives_on: bool
    ) -> None:
        self._settings = settings
        self._lives_on = lives_on
        self._stack = stack
        self._socket = os.environ.get("CONNECTOR_SOCKET") or settings.daemon.socket
        self._runtime: Runtime | None = None
        self._opening = asyncio.Lock()

    async def provider(self, account: str) -> str:
        """Give the name of an account's provider.

        Raises:
            UnknownAccount: there is no such account.
            ConnectorError: as `session.opened`.
        """
        document = await self._ask_daemon("GET", account_path(account), dict)
        if document is not None and "provider" in document:
            return str(document["provider"])
        runtime = await self._open()
        return (await runtime.accounts.require(account)).provider

    async def token(self, account: str, min_ttl: float | None = None) -> Token:
        """Give an access token.

        Args:
            account: the account's name.
            min_ttl: the least remaining life in seconds, as `TokenSource.get` takes it.

        Raises:
            ConnectorError: as `TokenSource.get` and `session.opened`.
        """
        query = "" if min_ttl is None else f"?min_ttl={min_ttl!r}"
        given = await self._ask_daemon("GET", f"{account_path(account)}/token{query}", token_of)
        if given is not None:
            return given
        runtime = await self._open()
        return _released(runtime, account, await runtime.tokens.get(account, min_ttl))

    async def renew(self, account: str, rejected: str) -> Token:
        """Give another access token than one that was rejected, as after a 401.

        Args:
            account: the account's name.
            rejected: the token.

        Raises:
            ConnectorError: as `TokenSource.refresh` and `session.opened`.
        """
        headers = {"Connector-Rejected": rejected}
        path = f"{account_path(account)}/refresh"
        given = await self._ask_daemon("POST", path, token_of, headers)
        if given is not None:
            return given
        runtime = await self._open()
        token = await runtime.tokens.refresh(account, rejected=Secret(rejected))
        return _released(runtime, account, token)

    async def _open(self) -> "Runtime":
        async with self._opening:
            if self._runtime is None:
                opening = opened(self._settings, lives_on=self._lives_on)
                self._runtime = await self._stack.enter_async_context(opening)
        return self._runtime

    async def _ask_daemon(
        self,
        method: str,
        path: str,
        read: Callable[[dict[str, Any]], T],
        headers: dict[str, str] | None = None,
    ) -> T | None:
        """Ask the daemon and read its answer; None where there is none of this configuration."""
        if not self._socket:
            return None
        sent = {
            "Connector-Config": str(self._settings.path),
            "Connector-Command": click.get_current_context().info_name or "",
            **(headers or {}),
        }
        try:
            answer = await _exchanged(os.fspath(self._socket), method, path, sent)
            return None if answer.status == 421 else read(document_of(answer))
        except (DaemonUnreachable, OSError):
            return None


@contextlib.asynccontextmanager
async def asking(settings: "Settings", *, lives_on: bool = False) -> AsyncIterator[Asking]:
    """Ask for tokens, and close what was opened for it.

    Args:
        settings: the configuration.
        lives_on: it is asked for long; see `session.opened`.
    """
    forbid_core_dumps()
    async with contextlib.AsyncExitStack() as stack:
        yield Asking(settings, stack, lives_on=lives_on)


def warn_if_short(token: Token, min_ttl: float | None) -> None:
    """Say on standard error that a token lives less than was asked for, as ``connector token``."""
    if min_ttl is not None and token.expires_at is not None:
        left = (token.expires_at - datetime.now(UTC)).total_seconds()
        if left < min_ttl - 1:  # a second of the way here
            click.echo("connector: the token lives less than was asked for", err=True)


def _released(runtime: "Runtime", account: str, token: "AccessToken") -> Token:
    runtime.releases.note(account, token)
    return Token(token.value, token.token_type, token.expires_at, token.scope)


async def _exchanged(path: str, method: str, target: str, headers: dict[str, str]) -> Answer:
    """Ask in a thread; who gives up waiting ends the connection, so that the thread ends too."""
    connection = open_socket(path)
    task = asyncio.create_task(asyncio.to_thread(exchange, connection, method, target, headers))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            connection.shutdown(2)
        with contextlib.suppress(DaemonUnreachable, OSError):
            await task
        raise
    finally:
        connection.close()
