"""The thin client of a running daemon: the standard library and `connector.errors`, nothing else.

For processes that should not open the vault: they ask over the daemon's Unix socket, which only the
same user can open, or with an API key over TCP, and get access tokens and nothing more. Importing
this module imports next to nothing, so that ``connector token`` can print a token within
milliseconds.
"""

from __future__ import annotations

import os

from connector.local_daemon import (
    Answer,
    DaemonUnreachable,
    exchange,
    find_socket,
    open_socket,
)

__all__ = ["Client", "DaemonUnreachable", "Token"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket as sockets
    from collections.abc import Mapping
    from datetime import datetime
    from types import TracebackType
    from typing import Any, Self

    from connector.errors import ConnectorError
    from connector.remote_daemon import RemoteDaemon


class Token:
    """An access token as the daemon gives it.

    Attributes:
        value: the token itself; never shown by ``repr``.
        token_type: the scheme of the ``Authorization`` header.
        expires_at: when it ends (UTC), or None where the provider does not tell.
        scope: what was granted, joined by spaces, or None.
    """

    __slots__ = ("expires_at", "scope", "token_type", "value")

    def __init__(
        self, value: str, token_type: str, expires_at: datetime | None, scope: str | None
    ) -> None:
        self.value = value
        self.token_type = token_type
        self.expires_at = expires_at
        self.scope = scope

    def __repr__(self) -> str:
        return f"Token(token_type={self.token_type!r}, expires_at={self.expires_at!r})"


class Client:
    """Asks a daemon; safe to use from any thread.

    Without ``url`` it asks over the Unix socket, which needs no key.

    Args:
        socket: path of the daemon's Unix socket; else ``CONNECTOR_SOCKET``, or the socket beside
            the configuration that ``CONNECTOR_CONFIG`` names, or ``./connector.sock``.
        url: of a daemon to be asked over TCP (https, or http on loopback); else ``CONNECTOR_URL``,
            where no socket is given.
        key: the API key for it; else ``CONNECTOR_KEY``.

    Raises:
        ConfigurationError: the URL is none, would show the key to the network, or has no key.
    """

    def __init__(
        self,
        socket: str | os.PathLike[str] | None = None,
        *,
        url: str | None = None,
        key: str | None = None,
    ) -> None:
        if url is None and socket is None:
            url = os.environ.get("CONNECTOR_URL") or None
        self._remote: RemoteDaemon | None = None
        if url is not None:
            from connector.remote_daemon import RemoteDaemon

            self._remote = RemoteDaemon(url, key or os.environ.get("CONNECTOR_KEY", ""))
        self.path = os.fspath(socket) if socket is not None else find_socket(None)
        self._idle: list[sockets.socket] = []

    def get_token(self, account: str, min_ttl: float | None = None) -> Token:
        """Give an access token with its type, end and scope.

        Args:
            account: the account's name.
            min_ttl: the least remaining life in seconds; by default a tenth of the token's
                lifetime, at most 60 s.

        Raises:
            UnknownAccount, ConsentRequired, TemporarilyUnavailable, RegistrationRejected,
            VaultSealed: as `Connector.get_token`.
            DaemonUnreachable: no daemon answers on the socket.
        """
        return self._token("GET", f"{account_path(account)}/token{_query(min_ttl)}", {})

    def get_access_token(self, account: str, min_ttl: float | None = None) -> str:
        """Give the access token itself; arguments and errors as for `get_token`."""
        return self.get_token(account, min_ttl).value

    def refresh(self, account: str, rejected: str | None = None) -> Token:
        """Force one refresh, or wait for the one that is under way; errors as for `get_token`.

        Args:
            account: the account's name.
            rejected: the token that an API has rejected: where the present one is another, or was
                minted just now, that is given and nothing is refreshed.
        """
        headers = {} if rejected is None else {"Connector-Rejected": rejected}
        return self._token("POST", f"{account_path(account)}/refresh", headers)

    def close(self) -> None:
        """Close the connections that are kept."""
        if self._remote is not None:
            self._remote.close()
        while self._idle:
            self._idle.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _token(self, method: str, path: str, headers: Mapping[str, str]) -> Token:
        return token_of(document_of(self._ask(method, path, headers)))

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """Ask over a kept connection if there is one; a stale one is replaced once."""
        if self._remote is not None:
            return self._remote.ask(method, path, headers)
        if self._idle:
            connection = self._idle.pop()
            try:
                return self._exchange(connection, method, path, headers)
            except DaemonUnreachable:
                pass  # the daemon has closed it meanwhile, or was restarted
        return self._exchange(open_socket(self.path), method, path, headers)

    def _exchange(
        self, connection: sockets.socket, method: str, path: str, headers: Mapping[str, str]
    ) -> Answer:
        try:
            answer = exchange(connection, method, path, headers)
        except OSError as error:
            connection.close()
            raise DaemonUnreachable(f"the daemon does not answer: {error}") from None
        except BaseException:
            connection.close()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            connection.close()
        else:
            self._idle.append(connection)
        return answer


def account_path(account: str) -> str:
    """Give the daemon's path of an account.

    Raises:
        UnknownAccount: no account can have that name; in a request it could mean anything.
    """
    from connector.errors import UnknownAccount

    letters = account.replace("/", "").replace("-", "").replace("_", "").replace(".", "")
    if not letters.isalnum() or not letters.isascii():
        raise UnknownAccount(account)
    return f"/v1/accounts/{account}"


def document_of(answer: Answer) -> dict[str, Any]:
    """Read the JSON of an answer.

    Raises:
        DaemonUnreachable: it is none of a daemon.
        ConnectorError: the one that a problem document stands for.
    """
    import json

    try:
        document = json.loads(answer.body)
    except ValueError:  # shown to nobody: what is no JSON may still hold a token
        document = None
    if not isinstance(document, dict):
        raise DaemonUnreachable("what answers is no daemon of ours")
    if answer.status != 200:
        raise problem_error(document)
    return document


def token_of(document: Mapping[str, Any]) -> Token:
    """Read the daemon's answer that holds a token.

    Raises:
        DaemonUnreachable: it does not hold one as a daemon would write it.
    """
    from datetime import datetime

    try:
        expires_at = document["expires_at"]
        return Token(
            value=document["access_token"],
            token_type=document["token_type"],
            expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
            scope=document["scope"],
        )
    except (LookupError, TypeError, ValueError):
        raise DaemonUnreachable("what answers is no daemon of ours") from None


def problem_error(document: Mapping[str, object]) -> ConnectorError:
    """Make the error that a problem document of the daemon stands for (RFC 9457)."""
    from datetime import UTC, datetime, timedelta

    from connector import errors

    name = str(document.get("type", "")).rpartition(":")[2]
    detail = str(document.get("detail", name))
    account = str(document.get("account", ""))
    if name == errors.ConsentRequired.problem_type():
        return errors.ConsentRequired(
            account,
            str(document.get("reason", detail)),
            str(document["connect_url"]) if document.get("connect_url") else None,
            provider=str(document.get("provider", "PROVIDER")),
        )
    if name == errors.UnknownAccount.problem_type():
        return errors.UnknownAccount(account, None)
    if name == errors.RegistrationRejected.problem_type():
        return errors.RegistrationRejected(
            str(document.get("provider", "")), str(document.get("reason", detail))
        )
    if name == errors.VaultSealed.problem_type():
        return errors.VaultSealed(detail)
    # too many requests (429), or what a later daemon has to say while it cannot answer
    is_passing = document.get("status") in {429, 503}
    if name == errors.TemporarilyUnavailable.problem_type() or is_passing:
        after = document.get("retry_after")
        retry_at = (
            datetime.now(UTC) + timedelta(seconds=float(after))
            if isinstance(after, (int, float))
            else None
        )
        return errors.TemporarilyUnavailable(str(document.get("reason", detail)), retry_at)
    return errors.Refused(detail)


def _query(min_ttl: float | None) -> str:
    return "" if min_ttl is None else f"?min_ttl={min_ttl:g}"
