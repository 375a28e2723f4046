"""A daemon behind a URL, asked with an API key; the standard library and `connector.errors` only.

For the thin client (`client`), on a host that is not the daemon's, where something that speaks TLS
stands before it, or over loopback. The key goes in a header, to https or loopback alone, and never
along a redirect, which is not followed.
"""

import http.client
import ipaddress
import ssl
from collections.abc import Mapping
from typing import Final, NoReturn
from urllib.parse import urlsplit

from connector import errors
from connector.local_daemon import LARGEST_ANSWER, TIMEOUT, Answer, DaemonUnreachable

_SOURCE: Final = "environment"


class RemoteDaemon:
    """Asks one daemon; safe to use from any thread.

    Args:
        url: of the daemon: ``https://HOST[:PORT][/PREFIX]``, or http for a loopback host.
        key: an API key of the daemon (``connector keys create``).

    Raises:
        ConfigurationError: the URL is none, would show the key to the network, or there is no key.
    """

    def __init__(self, url: str, key: str) -> None:
        self._host, self._port, self._prefix, is_tls = _parse(url)
        if not key:
            _refuse("CONNECTOR_KEY", "there is no API key", "type: connector keys create")
        if not key.isascii() or not key.isprintable() or " " in key:
            _refuse("CONNECTOR_KEY", "is no API key", "take it as it was printed")
        self._tls = ssl.create_default_context() if is_tls else None
        self._headers = {"Authorization": f"Bearer {key}", "Content-Length": "0"}
        self._idle: list[http.client.HTTPConnection] = []

    def ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        """Send one request without a body; a kept connection that was closed is replaced once.

        Args:
            method: of HTTP.
            path: with its query.
            headers: further ones.

        Raises:
            DaemonUnreachable: nobody answers there, or what answers is no daemon.
        """
        if self._idle:
            connection = self._idle.pop()
            try:
                return self._exchange(connection, method, path, headers)
            except DaemonUnreachable:
                connection.close()
        return self._exchange(self._connection(), method, path, headers)

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close()

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=TIMEOUT, context=self._tls
        )

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
    ) -> Answer:
        try:
            connection.request(method, self._prefix + path, headers={**headers, **self._headers})
            response = connection.getresponse()
            body = response.read(LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise DaemonUnreachable(
                f"no daemon answers at {self._host}: {type(error).__name__}"
            ) from None
        is_ours = "json" in response.headers.get("content-type", "")
        if len(body) > LARGEST_ANSWER or not is_ours:
            connection.close()
            raise DaemonUnreachable(f"what answers at {self._host} is no daemon of ours")
        if response.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, body)


def _parse(url: str) -> tuple[str, int | None, str, bool]:
    """Give host, port, prefix of paths, and whether it is TLS."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if host is None or parts.query or parts.fragment or parts.username is not None:
        _refuse("CONNECTOR_URL", f"{url!r} is not the address of a daemon", "https://HOST[:PORT]")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        _refuse("CONNECTOR_URL", "would show the API key to the network", "use https")
    return host, port, parts.path.rstrip("/"), parts.scheme == "https"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse(name: str, message: str, remedy: str) -> NoReturn:
    raise errors.ConfigurationError([errors.Problem(_SOURCE, name, message, remedy)])
