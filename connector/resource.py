"""Auth for HTTP clients: attach a token per request; on a rejection one refresh and one retry.

Works with httpx2 and plain httpx, with requests and with aiohttp, sync and async, by the rules of
`connector.credential`. An API's challenge never changes where tokens come from (CHECKLIST 33).
"""

import functools
import sys
from collections.abc import AsyncGenerator, Coroutine, Generator
from typing import Any, TypeVar, overload

import httpx2

from connector.credential import Credential, CredentialSource
from connector.integrations import aiohttp, requests

Prepared = TypeVar("Prepared")


class AccountAuth(httpx2.Auth):
    """Auth of one account, for httpx2's ``Client(auth=…)`` and ``AsyncClient(auth=…)``.

    Called with a prepared request it is an auth of requests, and with a request and what sends it
    a middleware of aiohttp.

    Args:
        account: the account's name.
        source: where credentials come from.
    """

    def __init__(self, account: str, source: CredentialSource) -> None:
        self._account = account
        self._source = source

    def __repr__(self) -> str:
        return f"AccountAuth({self._account!r})"

    def sync_auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Attach; on a rejection refresh once and send once more.

        Where the content is a stream it cannot be sent again: the refresh is for the next request.

        Raises:
            OriginRefused: the request goes to an origin that is not the provider's.
            ConnectorError: no token can be had; see `TokenSource.get`.
        """
        credential = self._source.credential_now(self._account, None)
        attach(request, credential, self._account)
        response = yield request
        if credential.must_read(response.status_code):
            response.read()
        if _is_rejected(response, credential):
            fresh = self._source.credential_now(self._account, credential.token)
            if fresh.token.value != credential.token.value and _can_repeat(request):
                attach(request, fresh, self._account)
                yield request

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Attach; on a rejection refresh once and send once more; see `sync_auth_flow`."""
        credential = await self._source.credential(self._account, None)
        attach(request, credential, self._account)
        response = yield request
        if credential.must_read(response.status_code):
            await response.aread()
        if _is_rejected(response, credential):
            fresh = await self._source.credential(self._account, credential.token)
            if fresh.token.value != credential.token.value and _can_repeat(request):
                attach(request, fresh, self._account)
                yield request

    @overload
    def __call__(self, request: Prepared) -> Prepared: ...

    @overload
    def __call__(
        self, request: aiohttp.Request, handler: aiohttp.Handler
    ) -> Coroutine[Any, Any, Any]: ...

    def __call__(self, request: Any, handler: aiohttp.Handler | None = None) -> Any:
        """Attach, as requests asks an auth to, or send, as aiohttp asks a middleware to.

        Raises:
            OriginRefused: the request goes to an origin that is not the provider's.
            ConnectorError: no token can be had; see `TokenSource.get`.
            TypeError: it is no request that we know.
        """
        if handler is not None:
            return aiohttp.send(request, handler, self._account, self._source)
        requests.prepare(request, self._account, self._source)
        return request


def make_auth(account: str, source: CredentialSource) -> AccountAuth:
    """Make the auth of an account, for httpx2 and, where it has been imported, for plain httpx."""
    return _auth_class("httpx" in sys.modules)(account, source)


@functools.cache
def _auth_class(has_httpx: bool) -> type[AccountAuth]:  # noqa: FBT001 - the cache's key
    """Plain httpx takes only instances of its own class: ours is then an instance of both."""
    if not has_httpx:
        return AccountAuth
    import httpx

    class BothAuth(AccountAuth, httpx.Auth):  # type: ignore[misc]
        """Auth for httpx2 and plain httpx."""

    return BothAuth


def attach(request: httpx2.Request, credential: Credential, account: str) -> None:
    """Attach a credential to a request.

    Raises:
        OriginRefused: the request goes to an origin that is not the provider's.
    """
    credential.check_origin(str(request.url), account)
    credential.set_headers(request.headers)
    if credential.params:
        request.url = request.url.copy_merge_params(credential.params)


def _is_rejected(response: httpx2.Response, credential: Credential) -> bool:
    status = response.status_code
    content = response.content if credential.must_read(status) else None
    return credential.is_rejected(status, response.request.headers.get("Authorization"), content)


def _can_repeat(request: httpx2.Request) -> bool:
    """Tell whether the content is at hand for a second sending; a stream is not."""
    try:
        request.content  # noqa: B018 - raises where it is a stream
    except (httpx2.RequestNotRead, httpx2.StreamError, RuntimeError):
        return False
    return True
