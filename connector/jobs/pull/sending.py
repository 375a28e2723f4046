"""Sends one request of a pull with the account's credential, and reads the answer.

The credential is asked for by each request, so that a rotation goes unnoticed. It goes to the
provider's own origins alone (RFC 6750 §5.3), and a redirect is followed only within the origin that
was asked.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import urljoin, urlsplit

import httpx2
import orjson

from connector.credential import Credential, CredentialSource
from connector.jobs.pull.failure import PullFailed
from connector.oauth.endpoint_url import origin_of
from connector.pulls.messages import Request
from connector.resource import attach

#: A longer body is no page (bytes): it would have to be held in memory several times over.
LARGEST_BODY: Final = 64 * 1024 * 1024
#: How often one request is redirected at most.
_REDIRECTS: Final = 5
_REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})


class Unanswered(Exception):
    """No answer came, or not all of it; says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer.

    Attributes:
        status: of HTTP.
        headers: by lower-case names; several of one name are joined by commas.
        content: the body.
        body: the same, parsed; None: it is no JSON, or null.
        is_strict: it is JSON by the letter (RFC 8259): no number in it is NaN or infinite.
        url: of the request, in full, without what the credential adds.
        credential: what it was sent with.
    """

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    body: object = field(repr=False)
    url: str = field(repr=False)
    credential: Credential
    is_strict: bool = False

    def is_rejected(self) -> bool:
        """Tell whether it rejects the token, by what the provider's data says of that."""
        return self.credential.is_rejected(
            self.status, self.credential.headers["Authorization"], self.content
        )


class Sending(Protocol):
    """Sends requests for one account."""

    async def send(self, request: Request) -> Reply:
        """Send a request once; see `Sender.send`."""
        ...

    async def refresh(self, credential: Credential) -> Credential:
        """Have another token made; see `Sender.refresh`."""
        ...


class Sender:
    """Sends requests for one account.

    Args:
        client: has the base URL of the provider's API; follows no redirects. A run asks for one
            page at a time and does nothing meanwhile: a client that blocks takes half the time.
        account: the account's name.
        credentials: where its come from.
        on_send: is told of each request, as it is without the credential.
    """

    def __init__(
        self,
        client: httpx2.Client,
        account: str,
        credentials: CredentialSource,
        on_send: Callable[[str, str], None] | None = None,
    ) -> None:
        self._client = client
        self._account = account
        self._credentials = credentials
        self._on_send = on_send

    async def send(self, request: Request) -> Reply:
        """Send a request once.

        Raises:
            Unanswered: no answer came.
            ConnectorError: no token can be had, or it may not be sent there; the answer is too
                long, or leads to another origin.
        """
        prepared = self._prepare(request)
        for _ in range(_REDIRECTS):
            url = str(prepared.url)
            if self._on_send is not None:
                self._on_send(prepared.method, url)
            credential = await self._credentials.credential(self._account, None)
            attach(prepared, credential, self._account)
            try:
                response = self._client.send(prepared, stream=True)
                try:
                    content = _read(response, url)
                finally:
                    response.close()
            except httpx2.RequestError as error:
                raise Unanswered(_words(error)) from None
            if response.status_code not in _REDIRECTING or "location" not in response.headers:
                body, is_strict = parse_body(content)
                return Reply(
                    status=response.status_code,
                    headers=_headers(response),
                    content=content,
                    body=body,
                    url=url,
                    credential=credential,
                    is_strict=is_strict,
                )
            prepared = self._redirected(request, url, response.headers["location"])
        raise PullFailed(f"{told(request)} is redirected without end")

    async def refresh(self, credential: Credential) -> Credential:
        """Have another token made than one that the API rejects.

        Raises:
            ConnectorError: none can be had.
        """
        return await self._credentials.credential(self._account, credential.token)

    def _prepare(self, request: Request) -> httpx2.Request:
        headers = dict(request.headers)
        if request.form:
            return self._client.build_request(
                request.method, request.full_url, headers=headers, data=dict(request.form)
            )
        if request.body is not None:
            headers = {"Content-Type": "application/json", **headers}
            content = orjson.dumps(request.body)
            return self._client.build_request(
                request.method, request.full_url, headers=headers, content=content
            )
        return self._client.build_request(request.method, request.full_url, headers=headers)

    def _redirected(self, request: Request, url: str, location: str) -> httpx2.Request:
        """Make the request that a redirect asks for (RFC 9110 §15.4)."""
        target = urljoin(url, location)
        remedy = "Write the URL that the API has now"
        if request.method != "GET":
            raise PullFailed(f"{told(request)} is redirected", remedy)
        try:
            is_same = origin_of(target) == origin_of(url)
        except ValueError:
            is_same = False
        if not is_same:
            raise PullFailed(f"{told(request)} is redirected to another origin", remedy)
        return self._client.build_request("GET", target, headers=dict(request.headers))


def told(request: Request) -> str:
    """Give a request in words: its method and its path, for nothing else is fit to be logged."""
    return f"{request.method} {urlsplit(request.url).path}"


def parse_body(content: bytes) -> tuple[object, bool]:
    """Parse a body, and tell whether it is JSON by the letter; None where it is none, or null."""
    try:
        return orjson.loads(content), True
    except orjson.JSONDecodeError:
        pass
    try:  # half a surrogate pair, as cut strings have it, is JSON (RFC 8259 §8.2)
        return json.loads(content), False
    except (ValueError, RecursionError):
        return None, False


def _read(response: httpx2.Response, url: str) -> bytes:
    """Read a body, unpacked; no more of it than is allowed.

    Raises:
        PullFailed: it is longer.
        httpx2.RequestError: it does not come to its end.
    """
    chunks: list[bytes] = []
    length = 0
    for chunk in response.iter_bytes():
        length += len(chunk)
        if length > LARGEST_BODY:
            raise PullFailed(
                f"the answer of {urlsplit(url).path} is longer than {LARGEST_BODY >> 20} MiB",
                "Ask for smaller pages: set size, or a window",
            )
        chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _headers(response: httpx2.Response) -> dict[str, str]:
    return dict(response.headers.items())  # lower case, joined by commas


def _words(error: httpx2.RequestError) -> str:
    """Say why no answer came; a library's own text may have a URL in it."""
    if isinstance(error, httpx2.ConnectTimeout):
        return "it cannot be reached in time"
    if isinstance(error, httpx2.TimeoutException):
        return "it does not answer in time"
    if isinstance(error, httpx2.ConnectError):
        return "it cannot be reached"
    if isinstance(error, httpx2.DecodingError):
        return "its answer cannot be unpacked"
    return f"the connection broke ({type(error).__name__})"
