"""Everything about the simulator that can be chosen, each changeable while it runs.

One flat, frozen value; what is the Graph-like provider's alone is in facebook.settings. The command
line makes an option of each field, POST /control/settings takes each by name, and both read the
field's own description.
"""

# ruff: noqa: RUF009 - each default is a dataclass field, made by setting

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date
from math import isfinite
from typing import Literal, get_args, get_origin

from connector.simulator.apis.settings import API_SCOPES, AT_LEAST_ONE, ApiSettings
from connector.simulator.facebook.settings import FacebookSettings
from connector.simulator.setting import SettingsError, setting

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
IssParameter = Literal["correct", "absent", "wrong"]
IdTokenSignature = Literal["good", "bad", "none", "hs256"]

NOT_EMPTY = (
    "client_id",
    "client_secret",
    "public_client_id",
    "default_scope",
    "app_id",
    "app_secret",
)

# Ids of ad accounts and of what is in them have three digits for each.
MOST = {
    "ad_accounts_per_person": 900,
    "campaigns_per_account": 999,
    "ad_sets_per_campaign": 999,
    "ads_per_ad_set": 999,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(ApiSettings, FacebookSettings):
    """How both servers are registered and how they behave; seconds, unless a field says else."""

    client_id: str = setting("connector-demo", "the confidential OAuth client")
    client_secret: str = setting("simulator-client-secret", "its secret")
    public_client_id: str = setting("connector-public", "the client without a secret")
    redirect_uris: tuple[str, ...] = setting(
        (), "exact redirect URIs registered beside http on loopback under /callback/"
    )
    token_endpoint_auth_methods: tuple[str, ...] = setting(
        ("client_secret_basic", "client_secret_post"),
        "how the confidential client may prove itself",
    )
    control_key: str = setting("", "bearer key of /control; empty: a new one at each start")

    scopes_supported: tuple[str, ...] = setting(
        ("openid", "profile", "email", "offline_access", "ads_read", "ads_management", *API_SCOPES),
        "scopes that the authorization server knows",
    )
    default_scope: str = setting("ads_read", "scope of a request that names none")
    withheld_scopes: tuple[str, ...] = setting(
        (), "scopes that are never granted, whatever is asked: the answer's scope is narrower"
    )
    require_pkce: bool = setting(
        default=True, text="refuse authorization requests without an S256 challenge"
    )
    require_pushed_authorization_requests: bool = setting(
        default=False, text="RFC 9126: only pushed requests"
    )
    pushed_request_lifetime: float = setting(60.0, "how long a request_uri may be used")
    iss_parameter: IssParameter = setting("correct", "iss in authorization responses (RFC 9207)")
    code_lifetime: float = setting(60.0, "how long an authorization code may be used")
    device_code_lifetime: float = setting(600.0, "how long a device code may be polled")
    device_interval: float = setting(5.0, "least pause between two polls of a device code")

    access_token_lifetime: float = setting(3600.0, "how long an access token works")
    refresh_token_lifetime: float | None = setting(
        None, "how long a refresh token works; none: for ever"
    )
    refresh_token_expiry: Literal["sliding", "absolute"] = setting(
        "sliding", "whether that lifetime starts anew with each use, or runs from the consent"
    )
    offline_access_required: bool = setting(
        default=False, text="a refresh token only for requests with the offline_access scope"
    )
    rotation: Rotation = setting("strict", "what becomes of a refresh token that was used")
    grace_seconds: float = setting(
        30.0, "how long a replaced refresh token still works (grace modes, idempotent, by_age)"
    )
    rotation_age_seconds: float = setting(86400.0, "by_age: the age at which one is replaced")
    return_unrotated_refresh_token: bool = setting(
        default=False,
        text="repeat a refresh token that was not replaced, instead of leaving it out",
    )
    old_access_token: OldAccessToken = setting(
        "lives", "what a refresh does to the access tokens issued before it"
    )
    old_access_token_seconds: float = setting(600.0, "dies_after: how long they still work")

    omit: tuple[str, ...] = setting(
        (), "members left out of token answers: expires_in, scope, refresh_token, token_type, …"
    )
    expires_in_form: ExpiresInForm = setting("number", "how expires_in is written")
    announce_refresh_token_lifetime: bool = setting(
        default=False, text="send refresh_token_expires_in where a refresh token ends"
    )
    token_type: str = setting("Bearer", "token_type of token answers")
    token_padding: int = setting(0, "letters added to each token, to make it long")
    token_response_extra: Mapping[str, object] = setting({}, "members added to every token answer")
    invalid_grant_status: int = setting(
        400, "HTTP status that invalid_grant is sent with (wrong ones: 401, 403, even 200)"
    )
    id_token_claims: Mapping[str, object] = setting(
        {}, "claims replaced in ID tokens; null removes one"
    )
    id_token_signature: IdTokenSignature = setting("good", "how ID tokens are signed")
    userinfo_claims: Mapping[str, object] = setting(
        {}, "claims replaced in userinfo answers; null removes one"
    )
    metadata_overrides: Mapping[str, object] = setting(
        {}, "members replaced in both metadata documents; null removes one"
    )
    api_page_size: int = setting(100, "records in a page of /api where the request names no limit")

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
            for name in (
                "api_page_size",
                "campaigns_per_account",
                "ad_accounts_per_person",
                *AT_LEAST_ONE,
            )
            if getattr(self, name) < 1
        ]
        found += [
            f"{name} must be at most {most}"
            for name, most in MOST.items()
            if getattr(self, name) > most
        ]
        return found

    def _bad_texts(self) -> list[str]:
        found = [f"{name} must not be empty" for name in NOT_EMPTY if not getattr(self, name)]
        if self.client_id == self.public_client_id:
            found.append("client_id and public_client_id must differ")
        hints = {each.name: each.type for each in fields(self)}
        for name, hint in hints.items():
            choices = get_args(hint)
            if get_origin(hint) is Literal and getattr(self, name) not in choices:
                found.append(f"{name} must be one of {', '.join(choices)}")
        try:
            date.fromisoformat(self.first_delivery or "2026-01-31")
        except ValueError:
            found.append("first_delivery must be a date like 2026-01-31")
        unknown = set(self.default_scope.split()) - set(self.scopes_supported)
        if unknown:
            found.append(f"default_scope has {sorted(unknown)}, absent from scopes_supported")
        return found
