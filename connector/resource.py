"""Auth for HTTP clients: attach a token per request; on a rejection one refresh and one retry.

Works with httpx2 and plain httpx, sync and async. The token goes in the ``Authorization`` header
only (RFC 6750 §2.1), and only to the provider's own origins (RFC 6750 §5.3). An API's challenge
never changes where tokens come from; where the token that was rejected is no longer the present
one, the present one is used and nothing is refreshed (CHECKLIST 33, 72, 107, 108).
"""

import functools
import sys
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass, field
from typing import Protocol

import httpx2

from connector.errors import OriginRefused
from connector.oauth.endpoint_url import origin_of
from connector.oauth.strict_json import parse_json_object
from connector.oauth.token import AccessToken
from connector.providers.client import ProviderClient
from connector.providers.provider import Api
from connector.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a request to an API needs.

    Attributes:
        token: the access token.
        headers: to be set.
        params: to be set in the query, such as a proof of possession.
        api: what the provider's API looks like.
    """

    token: AccessToken
    api: Api
    headers: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)


class CredentialSource(Protocol):
    """Gives credentials; the process that holds the store does, and a job's child process.

    A source that has no synchronous face, or no asynchronous one, raises `RuntimeError` there.
    """

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give a credential, blocking; with ``rejected``, another one than that."""
        ...

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give a credential; with ``rejected``, another one than that."""
        ...


def make_credential(
    api: Api, token: AccessToken, base_url: str | None, *, client: ProviderClient | None = None
) -> Credential:
    """Make what a request needs of a token and the provider's data.

    Args:
        api: of the provider.
        token: the access token.
        base_url: what paths are relative to, filled in.
        client: of the provider, where its API wants a proof that we have the client secret.
    """
    params: dict[str, str] = {}
    proof = client.registration.prove(Secret(token.value)) if api.proof and client else None
    if api.proof is not None and proof is not None:
        params[api.proof] = proof
    return Credential(
        token=token,
        api=Api(
            base_url=base_url,
            origins=api.origins,
            headers=api.headers,
            scheme=api.scheme,
            proof=api.proof,
            rejections=api.rejections,
        ),
        headers={**api.headers, "Authorization": f"{api.scheme} {token.value}"},
        params=params,
    )


class AccountAuth(httpx2.Auth):
    """Auth of one account, for ``httpx2.Client(auth=…)`` and ``httpx2.AsyncClient(auth=…)``.

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
        _attach(request, credential, self._account)
        response = yield request
        if _must_read(response, credential.api):
            response.read()
        if _is_rejected(response, credential):
            fresh = self._source.credential_now(self._account, credential.token)
            if fresh.token.value != credential.token.value and _can_repeat(request):
                _attach(request, fresh, self._account)
                yield request

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Attach; on a rejection refresh once and send once more; see `sync_auth_flow`."""
        credential = await self._source.credential(self._account, None)
        _attach(request, credential, self._account)
        response = yield request
        if _must_read(response, credential.api):
            await response.aread()
        if _is_rejected(response, credential):
            fresh = await self._source.credential(self._account, credential.token)
            if fresh.token.value != credential.token.value and _can_repeat(request):
                _attach(request, fresh, self._account)
                yield request


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


def _attach(request: httpx2.Request, credential: Credential, account: str) -> None:
    url = str(request.url)
    if not credential.api.permits(url):
        raise OriginRefused(account, _origin(url))
    for name, value in credential.headers.items():
        # a client's own default is no wish of the caller's
        if name == "Authorization" or request.headers.get(name) in {None, "*/*"}:
            request.headers[name] = value
    if credential.params:
        request.url = request.url.copy_merge_params(credential.params)


def _origin(url: str) -> str:
    try:
        return origin_of(url)
    except ValueError:
        return "a URL without an http origin"


def _must_read(response: httpx2.Response, api: Api) -> bool:
    """Tell whether the body decides; a 401 speaks for itself, anything else stays unread."""
    return any(rule.when and rule.status == response.status_code for rule in api.rejections)


def _is_rejected(response: httpx2.Response, credential: Credential) -> bool:
    """Tell whether an answer rejects our token; one that never got it, after a redirect, cannot."""
    api = credential.api
    if response.request.headers.get("Authorization") != credential.headers["Authorization"]:
        return False
    body: object = None
    if _must_read(response, api):
        try:
            body = parse_json_object(response.content)
        except ValueError:
            body = None
    return any(rule.matches(response.status_code, body) for rule in api.rejections)


def _can_repeat(request: httpx2.Request) -> bool:
    """Tell whether the content is at hand for a second sending; a stream is not."""
    try:
        request.content  # noqa: B018 - raises where it is a stream
    except (httpx2.RequestNotRead, httpx2.StreamError, RuntimeError):
        return False
    return True
