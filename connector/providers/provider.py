"""A provider: an authorization server, an API, and how both behave. Values only.

What a provider does with a refresh token decides what may be done when an answer is lost, so it is
written down (`RotationProfile`) and never guessed: a provider outside the catalogue counts as the
most fragile kind.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from connector.oauth.authorization_server import AuthorizationServer, meets
from connector.oauth.endpoint_url import is_loopback_host, origin_of
from connector.oauth.token import LONGEST_MARGIN
from connector.pulls.defaults import PullDefaults

Rotation = Literal[
    "none", "strict", "strict_family", "grace", "idempotent", "lazy", "by_age", "unknown"
]
ROTATIONS: Final[tuple[Rotation, ...]] = (
    "none",
    "strict",
    "strict_family",
    "grace",
    "idempotent",
    "lazy",
    "by_age",
    "unknown",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationProfile:
    """What becomes of a refresh token when it is used, and when it ends.

    Attributes:
        rotation: ``none`` (it stays), ``strict`` (works once), ``strict_family`` (a second use
            revokes the grant), ``grace`` (a replaced one works for a while), ``idempotent`` (a
            second use gives the same answer), ``lazy`` (it works until the new one is used),
            ``by_age`` (replaced only when old), ``unknown`` (treated as ``strict_family``).
        grace: seconds for which a replaced one works.
        idle: seconds after which an unused one dies; None: never.
        lifetime: seconds after which the grant ends, whatever its use; None: never.
    """

    rotation: Rotation = "unknown"
    grace: float = 0.0
    idle: float | None = None
    lifetime: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """What a provider says of its tokens' lives, as far as the answers do not.

    Attributes:
        access_token: seconds; None: unknown.
        idle: seconds after which an unused refresh token dies; None: never.
        consent: seconds after which the grant ends whatever its use; None: never.
    """

    access_token: float | None = None
    idle: float | None = None
    consent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenExchange:
    """How a still valid access token is exchanged for a new one, where there are no refresh tokens.

    Attributes:
        grant_type: the provider's own.
        parameter: the name under which the access token is sent.
        is_after_code: the token of the code exchange is short-lived and is exchanged at once.
    """

    grant_type: str
    parameter: str
    is_after_code: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """How the API says that a token is no longer good.

    Attributes:
        status: the HTTP status.
        when: path in the JSON body → values; empty where the status alone says it.
    """

    status: int
    when: Mapping[str, tuple[object, ...]] = field(default_factory=dict)

    def matches(self, status: int, body: object) -> bool:
        """Tell whether an answer of the API rejects the token."""
        return status == self.status and meets(body, self.when)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The provider's resource server, as far as a token's way there is concerned.

    Attributes:
        base_url: where paths of a job's requests are relative to; ``{answer.NAME}`` is filled in
            from the token answer's further fields.
        origins: the only origins that a token is sent to (``https://*.example.com`` takes any
            subdomain); empty: that of ``base_url``, or, where that is not known either, any https
            origin, or one on this machine.
        headers: sent with every request.
        scheme: of the ``Authorization`` header (RFC 6750 §2.1).
        proof: the name of a query parameter that holds HMAC-SHA256(client secret, access token).
        rejections: how the API says that a token is no longer good, besides 401 (RFC 6750 §3.1).
        pull: what holds for every declared pull.
    """

    base_url: str | None = None
    origins: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "Bearer"
    proof: str | None = None
    rejections: tuple[Rejection, ...] = (Rejection(status=401),)
    pull: PullDefaults = field(default_factory=PullDefaults)

    def permits(self, url: str) -> bool:
        """Tell whether a token may be sent to a URL; never in clear text to another machine."""
        try:
            origin = origin_of(url)
        except ValueError:
            return False
        parts = urlsplit(origin)
        if parts.scheme != "https" and not is_loopback_host(parts.hostname or ""):
            return False
        if self.origins:
            return any(_fits(origin, allowed) for allowed in self.origins)
        return self.base_url is None or origin == origin_of(self.base_url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How to learn who consented, where there is no ID token.

    Attributes:
        url: of the call that tells.
        id: path of the stable identifier in its answer.
        name: path of a name for people.
    """

    url: str
    id: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider under one name of the configuration.

    Attributes:
        name: of its table in the configuration.
        title: for people.
        server: its authorization server, as far as it is written down; discovery fills the rest.
        redirect_uri: what is registered; without a port any free one is taken (RFC 8252 §7.3).
        documentation: the vendor's page on its OAuth.
        catalogue_name: the entry of the catalogue that it is based on.
        scopes: asked for.
        authorization_params: further parameters of the authorization request.
        exchange_params: further parameters of the code exchange.
        refresh_params: further parameters of a refresh.
        use_pkce: False only where the provider rejects PKCE.
        use_par: push the authorization request (RFC 9126).
        sends_scope: False where scopes are fixed with the registration.
        api: its resource server.
        identity: how to learn who consented.
        refresh_token: what becomes of refresh tokens.
        exchange: set where a still valid access token is exchanged instead of refreshed.
        access_token_lifetime: seconds, where the answer does not tell; None: until the API says.
        longest_margin: the cap of the early-refresh margin, in seconds.
        data_access_lifetime: seconds after which the person must consent again though the token
            still works (Facebook's data access); None where there is no such thing.
        notes: what an operator should know.
    """

    name: str
    title: str
    server: AuthorizationServer
    redirect_uri: str
    documentation: str | None = None
    catalogue_name: str | None = None
    scopes: tuple[str, ...] = ()
    authorization_params: Mapping[str, str] = field(default_factory=dict)
    exchange_params: Mapping[str, str] = field(default_factory=dict)
    refresh_params: Mapping[str, str] = field(default_factory=dict)
    use_pkce: bool = True
    use_par: bool = False
    sends_scope: bool = True
    api: Api = field(default_factory=Api)
    identity: Identity | None = None
    refresh_token: RotationProfile = field(default_factory=RotationProfile)
    exchange: TokenExchange | None = None
    access_token_lifetime: float | None = None
    longest_margin: float = LONGEST_MARGIN
    data_access_lifetime: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def lifetimes(self) -> Lifetimes:
        """What is known of its tokens' lives, as far as the answers do not tell."""
        ends = [
            end
            for end in (self.refresh_token.lifetime, self.data_access_lifetime)
            if end is not None
        ]
        return Lifetimes(
            access_token=self.access_token_lifetime,
            idle=self.refresh_token.idle,
            consent=min(ends) if ends else None,
        )


def _fits(origin: str, allowed: str) -> bool:
    """Compare origins; ``https://*.example.com`` fits any host below, not the domain itself."""
    scheme, _, host = allowed.partition("://")
    if not host.startswith("*."):
        return origin == origin_of(allowed)
    prefix, suffix = (
        f"{scheme}://",
        origin_of(f"{scheme}://{host[2:]}").removeprefix(f"{scheme}://"),
    )
    return origin.startswith(prefix) and origin.removeprefix(prefix).endswith(f".{suffix}")
