"""What a request to an API needs, and the rules by which it is attached, whatever the client.

The token goes in the ``Authorization`` header only (RFC 6750 §2.1), and only to the provider's own
origins (RFC 6750 §5.3). Where the token that was rejected is no longer the present one, the present
one is used and nothing is refreshed (CHECKLIST 72, 107, 108).
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

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
        account_id: the identifier of the account, which its name may lead away from; None: it is
            not told.
    """

    token: AccessToken
    api: Api
    headers: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)
    account_id: str | None = None

    def check_origin(self, url: str, account: str) -> None:
        """Refuse a URL that the token is not sent to.

        Raises:
            OriginRefused: its origin is not the provider's.
        """
        if not self.api.permits(url):
            raise OriginRefused(account, _origin(url))

    def set_headers(self, headers: MutableMapping[str, str]) -> None:
        """Set the headers of a request; the caller's own stay, but for ``Authorization``."""
        for name, value in self.headers.items():
            # a client's own default is no wish of the caller's
            if name == "Authorization" or headers.get(name) in {None, "*/*"}:
                headers[name] = value

    def with_params(self, url: str) -> str:
        """Give a URL with our parameters in its query, in the place of any of the same name."""
        if not self.params:
            return url
        parts = urlsplit(url)
        kept = [
            pair
            for pair in parts.query.split("&")
            if pair and unquote_plus(pair.partition("=")[0]) not in self.params
        ]
        ours = [f"{quote(name)}={quote(value, safe='')}" for name, value in self.params.items()]
        return urlunsplit(parts._replace(query="&".join(kept + ours)))

    def must_read(self, status: int) -> bool:
        """Tell whether the body decides; a 401 speaks for itself, anything else stays unread."""
        return any(rule.when and rule.status == status for rule in self.api.rejections)

    def is_rejected(self, status: int, authorization: str | None, content: bytes | None) -> bool:
        """Tell whether an answer rejects our token; one that never got it cannot, after a redirect.

        Args:
            status: of the answer.
            authorization: the header of the request that it answers.
            content: the answer's body, where `must_read` says that it counts.
        """
        if authorization != self.headers["Authorization"]:
            return False
        body: object = None
        if content is not None:
            try:
                body = parse_json_object(content)
            except ValueError:
                body = None
        return any(rule.matches(status, body) for rule in self.api.rejections)


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
    api: Api,
    token: AccessToken,
    base_url: str | None,
    *,
    client: ProviderClient | None = None,
    account_id: str | None = None,
) -> Credential:
    """Make what a request needs of a token and the provider's data.

    Args:
        api: of the provider.
        token: the access token.
        base_url: what paths are relative to, filled in.
        client: of the provider, where its API wants a proof that we have the client secret.
        account_id: whose token it is; None: it is not known.
    """
    params: dict[str, str] = {}
    proof = client.registration.prove(Secret(token.value)) if api.proof and client else None
    if api.proof is not None and proof is not None:
        params[api.proof] = proof
    return Credential(
        token=token,
        api=replace(api, base_url=base_url),
        headers={**api.headers, "Authorization": f"{api.scheme} {token.value}"},
        params=params,
        account_id=account_id,
    )


def _origin(url: str) -> str:
    try:
        return origin_of(url)
    except ValueError:
        return "a URL without an http origin"
