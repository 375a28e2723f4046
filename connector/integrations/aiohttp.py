"""A client middleware for aiohttp (3.12 and later): attach a token, one refresh and one retry.

aiohttp sends every request of a redirect through its middlewares and does not say which they are.
The one that an answer has just sent to another origin goes there without a token; a foreign origin
that the caller named is refused.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, Final, Protocol

from connector.credential import Credential, CredentialSource

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: Where the last answer in this task redirects to, where no token of ours may go along.
_led_away: ContextVar[str | None] = ContextVar("connector_led_away", default=None)


class Request(Protocol):
    """What we use of ``aiohttp.ClientRequest``."""

    url: Any
    headers: Any
    body: Any


class Answer(Protocol):
    """What we use of ``aiohttp.ClientResponse``."""

    status: int
    url: Any
    headers: Any

    async def read(self) -> bytes:
        """Read the body, which stays at hand."""
        ...

    def release(self) -> object:
        """Give the connection back."""
        ...


Handler = Callable[[Any], Awaitable[Any]]


async def send(request: Request, handler: Handler, account: str, source: CredentialSource) -> Any:
    """Send a request with a token; on a rejection refresh once and send it once more.

    Where the body can be read only once, it is not sent again: the refresh is for the next request.

    Args:
        request: an ``aiohttp.ClientRequest``.
        handler: sends it.
        account: the account's name.
        source: where credentials come from.

    Raises:
        OriginRefused: the request goes to an origin that is not the provider's.
        ConnectorError: no token can be had; see `TokenSource.get`.
    """
    if _is_led_away(request):
        answer: Answer = await handler(request)
        _note_redirect(answer, None)
        return answer
    credential = await source.credential(account, None)
    _attach(request, credential, account)
    answer = await handler(request)
    content = await answer.read() if credential.must_read(answer.status) else None
    if credential.is_rejected(answer.status, request.headers.get("Authorization"), content):
        fresh = await source.credential(account, credential.token)
        if fresh.token.value != credential.token.value and _can_repeat(request):
            answer.release()
            _attach(request, fresh, account)
            answer = await handler(request)
    _note_redirect(answer, credential)
    return answer


def _attach(request: Request, credential: Credential, account: str) -> None:
    credential.check_origin(str(request.url), account)
    headers: MutableMapping[str, str] = request.headers
    credential.set_headers(headers)
    if credential.params:
        request.url = request.url.update_query(credential.params)


def _can_repeat(request: Request) -> bool:
    """Tell whether the body can be sent again; that of an older aiohttp does not say."""
    return not request.body or not getattr(request.body, "consumed", True)


def _is_led_away(request: Request) -> bool:
    """Tell whether the last answer sent this request to where no token may go."""
    target = _led_away.get()
    _led_away.set(None)
    return target is not None and str(request.url.with_fragment(None)) == target


def _note_redirect(answer: Answer, credential: Credential | None) -> None:
    """Remember a redirect that leaves the origins that a token goes to, or goes on from there."""
    location = answer.headers.get("Location")
    if answer.status not in _REDIRECTS or not location:
        return
    try:
        target = str(answer.url.join(type(answer.url)(location)).with_fragment(None))
    except ValueError:
        return  # aiohttp will say so
    if credential is None or not credential.api.permits(target):
        _led_away.set(target)
