"""Everything about the simulator that can be chosen, each changeable while it runs.

One flat, frozen value. The command line makes an option of each field, POST /control/settings
takes each by name, and both read the field's own description.
"""

# ruff: noqa: RUF009 - each default is a dataclass field, made by _setting

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, TypeVar, get_args, get_origin

Rotation = Literal[
    "none",
    "strict",
    "strict_family",
    "grace_previous",
    "grace",
    "idempotent",
    "lazy",
    "by_age",
]
OldAccessToken = Literal["lives", "dies_now", "dies_after"]
ExpiresInForm = Literal["number", "string", "float", "zero", "negative", "huge"]
Renewal = Literal["new_token", "same_token", "same_expiry"]
IssParameter = Literal["correct", "absent", "wrong"]
IdTokenSignature = Literal["good", "bad", "none", "hs256"]

_T = TypeVar("_T")

# Those of the Graph API's versions that still answer beside the current one.
GRAPH_VERSIONS = ("v24.0", "v25.0", "v26.0")

NOT_EMPTY = (
    "client_id",
    "client_secret",
    "public_client_id",
    "default_scope",
    "app_id",
    "app_secret",
)


class SettingsError(ValueError):
    """A setting is unknown or has a value that makes no sense; the message names each."""


def _setting(default: _T, text: str) -> _T:
    """A field with its default and its description."""
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"help": text})  # type: ignore[return-value]
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How both servers are registered and how they behave; seconds, unless a field says else."""

    client_id: str = _setting("connector-demo", "the confidential OAuth client")
    client_secret: str = _setting("simulator-client-secret", "its secret")
    public_client_id: str = _setting("connector-public", "the client without a secret")
    redirect_uris: tuple[str, ...] = _setting(
        (), "exact redirect URIs registered beside http on loopback under /callback/"
    )
    token_endpoint_auth_methods: tuple[str, ...] = _setting(
        ("client_secret_basic", "client_secret_post"),
        "how the confidential client may prove itself",
    )
    control_key: str = _setting("", "bearer key of /control; empty: a new one at each start")

    scopes_supported: tuple[str, ...] = _setting(
        ("openid", "profile", "email", "offline_access", "ads_read", "ads_management"),
        "scopes that the authorization server knows",
    )
    default_scope: str = _setting("ads_read", "scope of a request that names none")
    withheld_scopes: tuple[str, ...] = _setting(
        (), "scopes that are never granted, whatever is asked: the answer's scope is narrower"
    )
    require_pkce: bool = _setting(
        default=True, text="refuse authorization requests without an S256 challenge"
    )
    require_pushed_authorization_requests: bool = _setting(
        default=False, text="RFC 9126: only pushed requests"
    )
    pushed_request_lifetime: float = _setting(60.0, "how long a request_uri may be used")
    iss_parameter: IssParameter = _setting("correct", "iss in authorization responses (RFC 9207)")
    code_lifetime: float = _setting(60.0, "how long an authorization code may be used")
    device_code_lifetime: float = _setting(600.0, "how long a device code may be polled")
    device_interval: float = _setting(5.0, "least pause between two polls of a device code")

    access_token_lifetime: float = _setting(3600.0, "how long an access token works")
    refresh_token_lifetime: float | None = _setting(
        None, "how long a refresh token works; none: for ever"
    )
    refresh_token_expiry: Literal["sliding", "absolute"] = _setting(
        "sliding", "whether that lifetime starts anew with each use, or runs from the consent"
    )
    offline_access_required: bool = _setting(
        default=False, text="a refresh token only for requests with the offline_access scope"
    )
    rotation: Rotation = _setting("strict", "what becomes of a refresh token that was used")
    grace_seconds: float = _setting(
        30.0, "how long a replaced refresh token still works (grace modes, idempotent, by_age)"
    )
    rotation_age_seconds: float = _setting(86400.0, "by_age: the age at which one is replaced")
    return_unrotated_refresh_token: bool = _setting(
        default=False,
        text="repeat a refresh token that was not replaced, instead of leaving it out",
    )
    old_access_token: OldAccessToken = _setting(
        "lives", "what a refresh does to the access tokens issued before it"
    )
    old_access_token_seconds: float = _setting(600.0, "dies_after: how long they still work")

    omit: tuple[str, ...] = _setting(
        (), "members left out of token answers: expires_in, scope, refresh_token, token_type, …"
    )
    expires_in_form: ExpiresInForm = _setting("number", "how expires_in is written")
    announce_refresh_token_lifetime: bool = _setting(
        default=False, text="send refresh_token_expires_in where a refresh token ends"
    )
    token_type: str = _setting("Bearer", "token_type of token answers")
    token_padding: int = _setting(0, "letters added to each token, to make it long")
    token_response_extra: Mapping[str, object] = _setting({}, "members added to every token answer")
    invalid_grant_status: int = _setting(
        400, "HTTP status that invalid_grant is sent with (wrong ones: 401, 403, even 200)"
    )
    id_token_claims: Mapping[str, object] = _setting(
        {}, "claims replaced in ID tokens; null removes one"
    )
    id_token_signature: IdTokenSignature = _setting("good", "how ID tokens are signed")
    userinfo_claims: Mapping[str, object] = _setting(
        {}, "claims replaced in userinfo answers; null removes one"
    )
    metadata_overrides: Mapping[str, object] = _setting(
        {}, "members replaced in both metadata documents; null removes one"
    )
    api_page_size: int = _setting(100, "records in a page of /api where the request names no limit")

    app_id: str = _setting("1234567890123456", "the app at the Graph-like provider")
    app_secret: str = _setting("simulator-app-secret", "its secret")
    app_name: str = _setting("Connector Demo", "its name, as the dialog and error messages say it")
    app_redirect_uris: tuple[str, ...] = _setting(
        ("http://localhost:8470/callback/facebook",), "its redirect URIs, compared exactly"
    )
    development_mode: bool = _setting(
        default=True,
        text="also allow http://localhost:PORT/callback/… and http://127.0.0.1:PORT/callback/…",
    )
    graph_versions: tuple[str, ...] = _setting(GRAPH_VERSIONS, "Graph versions that answer")
    dialog_code_lifetime: float = _setting(600.0, "how long a code of the dialog may be used")
    short_lived_lifetime: float = _setting(3600.0, "life of a token from a code")
    long_lived_lifetime: float = _setting(
        5183944.0, "life of an exchanged token (60 days less 56 s)"
    )
    data_access_lifetime: float = _setting(7776000.0, "data access after a login (90 days)")
    renewal: Renewal = _setting("new_token", "what exchanging a long-lived token gives")
    graph_omit_expires_in: bool = _setting(
        default=False, text="leave expires_in out of Graph token answers"
    )
    require_appsecret_proof: bool = _setting(
        default=False, text="refuse Graph calls without appsecret_proof"
    )
    declined_asked_again: bool = _setting(
        default=False, text="offer declined permissions again without auth_type=rerequest"
    )
    usage_headers_after: int = _setting(10, "Graph calls before the usage headers appear")
    app_daily_users: int = _setting(
        1000, "people who use the app in a day: its quota is 200 calls an hour for each"
    )
    insights_empty_pages: int = _setting(
        0, "empty pages, each with a next link, before the first rows of an insights query"
    )

    ads_seed: int = _setting(7, "what the ads figures are computed from")
    campaigns_per_account: int = _setting(2, "campaigns in each ad account")
    ad_sets_per_campaign: int = _setting(2, "ad sets in each campaign")
    ads_per_ad_set: int = _setting(2, "ads in each ad set")

    def __post_init__(self) -> None:
        problems = [*self._bad_numbers(), *self._bad_texts()]
        if problems:
            raise SettingsError("; ".join(problems))

    def _bad_numbers(self) -> list[str]:
        found = []
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, float | int) and not (isfinite(value) and value >= 0):
                found.append(f"{name} must be a finite number, not below zero")
        if not 200 <= self.invalid_grant_status <= 599:
            found.append("invalid_grant_status must be a final HTTP status, 200 to 599")
        found += [
            f"{name} must be at least 1"
            for name in ("api_page_size", "campaigns_per_account")
            if getattr(self, name) < 1
        ]
        return found

    def _bad_texts(self) -> list[str]:
        found = [f"{name} must not be empty" for name in NOT_EMPTY if not getattr(self, name)]
        if self.client_id == self.public_client_id:
            found.append("client_id and public_client_id must differ")
        hints: dict[str, object] = type(self).__annotations__
        for name, hint in hints.items():
            choices = get_args(hint)
            if get_origin(hint) is Literal and getattr(self, name) not in choices:
                found.append(f"{name} must be one of {', '.join(choices)}")
        unknown = set(self.default_scope.split()) - set(self.scopes_supported)
        if unknown:
            found.append(f"default_scope has {sorted(unknown)}, absent from scopes_supported")
        return found
