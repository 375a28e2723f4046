"""One HTTP exchange with an authorization server, and what is known of it afterwards.

The transport is used bare: no redirect is followed, no cookie kept, no proxy or netrc taken from
the environment, no retry, no log line with a URL, and a fresh connection for each request, so that
nothing is ever re-sent behind our back (CHECKLIST 41, 49, 52, 160). A total deadline and a size
limit hold for the whole exchange, decompression included. A process that stood still past the
deadline (SIGSTOP, a blocked event loop) first reads the answer that has arrived meanwhile.
"""

import asyncio
import ssl
import zlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx2

from connector.oauth.token_response import NeverSent, OutcomeUnknown

#: Shorter than a refresh's lease (45 s), so that an owner is done before it may be replaced.
DEADLINE: Final = 30.0
CONNECT_TIMEOUT: Final = 10.0
#: After the deadline so much is left to read what has arrived already.
DRAIN_TIME: Final = 1.0
LARGEST_ANSWER: Final = 1024 * 1024
#: Each piece counts for so much: a million chunks of one byte would keep us busy for seconds.
SMALLEST_PIECE: Final = 64
#: Some APIs refuse a request that does not say who asks (GitHub answers 403). No version: the
#: package that knows it stands above this layer.
USER_AGENT: Final = "connector"

_NEVER_SENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.LocalProtocolError,  # the request itself is malformed, and stays here
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WireAnswer:
    """A complete HTTP answer.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: decoded; neither is shown, for both may hold tokens.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class _TooLate(Exception):
    """The right to send ended before the first byte left."""


class _UnusableAnswer(Exception):
    """An answer came, and it breaks a rule of ours; says which."""


class Wire:
    """Sends requests to authorization servers.

    Args:
        transport: an httpx2 transport with no kept connections (see `make_transport`).
        deadline: seconds that an exchange may take in all.
    """

    def __init__(self, transport: httpx2.AsyncBaseTransport, *, deadline: float = DEADLINE) -> None:
        self._transport = transport
        self._deadline = deadline

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        may_send: Callable[[], bool] | None = None,
    ) -> WireAnswer | NeverSent | OutcomeUnknown:
        """Send one request and read the whole answer; no network failure is raised.

        Args:
            method: the HTTP method.
            url: where to; its query is sent as it stands.
            headers: sent besides ``Accept``, ``Accept-Encoding`` and ``User-Agent``.
            body: content, or None.
            may_send: asked just before the first byte leaves, when connecting is over.
        """
        progress = _Progress(may_send)
        try:
            request = self._build(method, url, headers, body, progress)
        except (httpx2.InvalidURL, ValueError, TypeError):  # their messages quote what they refuse
            return NeverSent(cause="the request cannot be written: its URL or a header is unusable")
        try:
            return await self._in_time(self._exchange(request))
        except _TooLate:
            return NeverSent(cause="the right to send had ended before the first byte left")
        except _NEVER_SENT as error:
            return NeverSent(cause=_cause(error))
        except TimeoutError:
            if not progress.is_sending:
                return NeverSent(cause="no connection before the deadline")
            return OutcomeUnknown(cause=f"no answer within {self._deadline:.0f} s")
        except _UnusableAnswer as error:
            return OutcomeUnknown(cause=str(error))
        except (httpx2.HTTPError, ValueError) as error:
            if progress.is_at_proxy or (isinstance(error, ValueError) and not progress.is_sending):
                return NeverSent(cause=_cause(error))
            return OutcomeUnknown(cause=_cause(error))

    def _build(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        progress: "_Progress",
    ) -> httpx2.Request:
        standard = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
        }
        timeout = {
            "connect": min(CONNECT_TIMEOUT, self._deadline),
            # the deadline for all of it is ours: a timer of the transport's would throw away what
            # has arrived while this process stood still
            "read": None,
            "write": None,
            "pool": None,
        }
        return httpx2.Request(
            method,
            url,
            headers=httpx2.Headers(standard) | headers,
            content=body,
            extensions={"timeout": timeout, "trace": progress.note},
        )

    async def _in_time(self, exchange: Coroutine[None, None, WireAnswer]) -> WireAnswer:
        """Wait for an exchange until the deadline, and for what has arrived by then.

        Raises:
            TimeoutError: there was no whole answer.
        """
        task = asyncio.ensure_future(exchange)
        try:
            for patience in (self._deadline, DRAIN_TIME):
                done, _ = await asyncio.wait({task}, timeout=patience)
                if done:
                    return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        raise TimeoutError

    async def _exchange(self, request: httpx2.Request) -> WireAnswer:
        response = await self._transport.handle_async_request(request)
        try:
            raw = bytearray()
            size = 0
            async for chunk in response.aiter_raw():
                raw += chunk
                size += max(len(chunk), SMALLEST_PIECE)
                if size > LARGEST_ANSWER:
                    raise _UnusableAnswer("the answer is too large")
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = _decode(bytes(raw), headers.get("content-encoding", ""))
        return WireAnswer(status=response.status_code, headers=headers, body=body)

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()


class _Progress:
    """Notes when the first byte of a request may have left, and asks whether it may.

    Attributes:
        is_sending: it may have.
        is_at_proxy: only the proxy has been spoken to, to get through it.
    """

    def __init__(self, may_send: Callable[[], bool] | None) -> None:
        self._may_send = may_send
        self.is_sending = False
        self.is_at_proxy = False

    async def note(self, event: str, info: Mapping[str, object]) -> None:
        if event.endswith("send_request_headers.started"):
            self.is_at_proxy = getattr(info.get("request"), "method", b"") == b"CONNECT"
            if not self.is_at_proxy and self._may_send is not None and not self._may_send():
                raise _TooLate
            self.is_sending = not self.is_at_proxy


def make_transport(
    *, ca_file: str | None = None, proxy: str | None = None
) -> httpx2.AsyncHTTPTransport:
    """Make the transport for authorization servers: no kept connections, nothing from environment.

    Args:
        ca_file: PEM file of the certificate authorities to trust instead of the system's.
        proxy: URL of the proxy that every call goes through.
    """
    return httpx2.AsyncHTTPTransport(
        verify=ssl.create_default_context(cafile=ca_file) if ca_file else True,
        trust_env=False,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        retries=0,
        proxy=proxy or None,
    )


def _decode(raw: bytes, encoding: str) -> bytes:
    """Undo a content encoding that we did not ask for, within the size limit."""
    if encoding.strip().lower() in {"", "identity"}:
        return raw
    if encoding.strip().lower() not in {"gzip", "deflate"}:
        raise _UnusableAnswer("the answer has a content encoding that was not asked for")
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # detects gzip and zlib headers
    try:
        body = decoder.decompress(raw, LARGEST_ANSWER + 1)
    except zlib.error:
        raise _UnusableAnswer("the answer cannot be decompressed") from None
    if len(body) > LARGEST_ANSWER or decoder.unconsumed_tail:
        raise _UnusableAnswer("the answer is too large")
    if not decoder.eof or decoder.unused_data:
        raise _UnusableAnswer(
            "the answer cannot be decompressed: it is cut, or has more than one part"
        )
    return body


def _cause(error: Exception) -> str:
    """Name a failure without quoting what was sent or received."""
    names = {
        "ConnectError": "connection failed",
        "ConnectTimeout": "connecting took too long",
        "LocalProtocolError": "the request is not valid HTTP",
        "ProxyError": "the proxy refuses",
        "ReadTimeout": "no answer in time",
        "ReadError": "connection lost",
        "WriteError": "connection lost",
        "RemoteProtocolError": "connection lost or not HTTP",
        "UnicodeError": "the host's name is not valid",
        "UnsupportedProtocol": "the URL is not http or https",
    }
    name = type(error).__name__
    detail = _os_error(error)
    return names.get(name, name) + (f": {detail}" if detail else "")


def _os_error(error: BaseException | None) -> str:
    """Give the operating system's or TLS's word for a failure, from the chain of causes."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        error = error.__cause__ or error.__context__
    return ""
