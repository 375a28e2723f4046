"""Auth for requests: attach a token; on a rejection one refresh and one retry.

requests calls an auth once, when it prepares a request, and keeps what was attached on redirects
within the host only. The hook is copied to each request of a redirect; the header tells it which of
them had our token.
"""

from collections.abc import Callable, MutableMapping
from typing import Any, Protocol

from connector.credential import Credential, CredentialSource


class Prepared(Protocol):
    """What we use of ``requests.PreparedRequest``."""

    url: str | None
    headers: MutableMapping[str, str]
    body: object

    def register_hook(self, event: Any, hook: Any) -> None:
        """Have something called with each answer."""
        ...


class Answer(Protocol):
    """What we use of ``requests.Response``."""

    status_code: int
    request: Any
    connection: Any
    history: list[Any]

    @property
    def content(self) -> bytes | None:
        """The body, read now where it has not been."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


def prepare(request: Prepared, account: str, source: CredentialSource) -> None:
    """Attach a token to a prepared request, and the hook that looks at its answer.

    Args:
        request: a ``requests.PreparedRequest``.
        account: the account's name.
        source: where credentials come from.

    Raises:
        OriginRefused: the request goes to an origin that is not the provider's.
        ConnectorError: no token can be had; see `TokenSource.get`.
        TypeError: it is no request of requests.
    """
    if not hasattr(request, "register_hook"):
        raise TypeError(
            f"no auth for {type(request).__module__}.{type(request).__name__}: where it is plain"
            " httpx's, import httpx before connector.auth(…) is called"
        )
    credential = source.credential_now(account, None)
    _attach(request, credential, account)
    request.register_hook("response", _make_hook(credential, account, source))


def _make_hook(
    credential: Credential, account: str, source: CredentialSource
) -> Callable[..., Answer]:
    def retry_once(answer: Answer, **options: object) -> Answer:
        """Where our token was rejected, refresh once and send the request once more.

        Where the body is a stream it cannot be sent again: the refresh is for the next request.
        """
        request = answer.request
        content = answer.content if credential.must_read(answer.status_code) else None
        sent = request.headers.get("Authorization")
        if not credential.is_rejected(answer.status_code, sent, content):
            return answer
        fresh = source.credential_now(account, credential.token)
        if fresh.token.value == credential.token.value or not _can_repeat(request):
            return answer
        _ = answer.content  # so that the connection can be used again
        answer.close()
        # the same object: a redirect goes on from it, with the token that works
        _attach(request, fresh, account)
        second: Answer = answer.connection.send(request, **options)
        second.history.append(answer)
        return second

    return retry_once


def _attach(request: Prepared, credential: Credential, account: str) -> None:
    url = request.url or ""
    credential.check_origin(url, account)
    credential.set_headers(request.headers)
    request.url = credential.with_params(url)


def _can_repeat(request: Prepared) -> bool:
    return request.body is None or isinstance(request.body, (bytes, str))
