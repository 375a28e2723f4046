"""Other clients, set up for one grant; imported by name, since only the benchmarks install them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

#: Seconds of life that a cached token has.
AN_HOUR = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Where tokens are had, and as whom."""

    token_endpoint: str
    client_id: str
    client_secret: str


def authlib_session(here: Registration, answer: dict[str, Any], *, expires_in: float) -> Any:
    """Authlib's OAuth2Session, holding a token."""
    module = import_module("authlib.integrations.requests_client")
    return module.OAuth2Session(
        here.client_id,
        here.client_secret,
        token_endpoint=here.token_endpoint,
        token=answer | {"expires_at": int(time.time() + expires_in)},
    )


def authlib_async(here: Registration, answer: dict[str, Any]) -> Any:
    """Authlib's AsyncOAuth2Client, holding a token."""
    module = import_module("authlib.integrations.httpx_client")
    return module.AsyncOAuth2Client(
        here.client_id,
        here.client_secret,
        token_endpoint=here.token_endpoint,
        token=answer | {"expires_at": int(time.time() + AN_HOUR)},
    )


def google_credentials(here: Registration, answer: dict[str, Any], *, expires_in: float) -> Any:
    """google-auth's credentials of a person."""
    module = import_module("google.oauth2.credentials")
    return module.Credentials(
        answer["access_token"],
        refresh_token=answer["refresh_token"],
        token_uri=here.token_endpoint,
        client_id=here.client_id,
        client_secret=here.client_secret,
        # it compares with a time that knows no zone
        expiry=datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=expires_in),
    )


def google_request() -> Any:
    """google-auth's way to send."""
    return import_module("google.auth.transport.requests").Request()


def requests_auth(here: Registration, answer: dict[str, Any], *, expires_in: float) -> Any:
    """requests_oauth2client's auth, holding a token."""
    module = import_module("requests_oauth2client")
    client = module.OAuth2Client(
        here.token_endpoint,
        client_id=here.client_id,
        client_secret=here.client_secret,
        testing=True,  # plain http, on loopback
    )
    token = module.BearerToken(
        answer["access_token"],
        expires_at=datetime.now(UTC) + timedelta(seconds=expires_in),
        refresh_token=answer["refresh_token"],
    )
    return module.OAuth2AccessTokenAuth(client, token)


def a_request() -> Any:
    """A request as requests prepares it, to be given a token."""
    requests = import_module("requests")
    return requests.Request("GET", "http://127.0.0.1/").prepare()


def msal_application() -> Callable[[], Any]:
    """msal, with a token in its memory; gives what gives it.

    It is filled by answers of our own: msal asks for metadata where it has none.
    """
    application = import_module("msal").ConfidentialClientApplication(
        "client",
        client_credential="secret",
        oidc_authority="https://localhost/tenant",
        http_client=_Canned(),
    )
    scopes = ["ads_read"]
    first = application.acquire_token_for_client(scopes)
    assert "access_token" in first, first

    def acquire() -> Any:
        return application.acquire_token_for_client(scopes)

    assert acquire()["token_source"] == "cache"
    return acquire


class _Canned:
    """Answers as a server would, without one."""

    def get(self, _url: str, **_more: object) -> "_Answer":
        place = "https://localhost/tenant"
        return _Answer(
            {
                "issuer": place,
                "authorization_endpoint": f"{place}/authorize",
                "token_endpoint": f"{place}/token",
            }
        )

    def post(self, _url: str, **_more: object) -> "_Answer":
        return _Answer({"access_token": "a" * 40, "token_type": "Bearer", "expires_in": AN_HOUR})

    def close(self) -> None:
        """Do nothing."""


class _Answer:
    status_code = 200

    def __init__(self, values: dict[str, object]) -> None:
        self.text = json.dumps(values)
        self.headers: dict[str, str] = {}

    def raise_for_status(self) -> None:
        """Nothing is wrong."""
