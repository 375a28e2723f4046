"""What a consent is before and after its answer."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from connector.account import Account


class UnknownConsent(Exception):
    """The answer belongs to no consent that is under way here: a stray or repeated hit."""


def redirect_path(redirect_uri: str) -> str:
    """Give the path at which a browser asks for a redirect URI: ``/`` where that has none."""
    return urlsplit(redirect_uri).path or "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedConsent:
    """A consent that waits for its answer.

    Attributes:
        id: of the record.
        account: the account's name.
        provider: the provider's name.
        redirect_uri: where the answer arrives.
        expires_at: until when it is taken.
    """

    id: str
    account: str
    provider: str
    redirect_uri: str
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletedConsent:
    """An account that a person consented to.

    Attributes:
        account: active now.
        missing_scopes: asked for and not granted.
        can_refresh: there is something to renew the access token with.
    """

    account: Account
    missing_scopes: tuple[str, ...]
    can_refresh: bool
