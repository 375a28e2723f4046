"""Plain HTTP clients of both servers, for the tests: they send what they are told, and no more."""

import base64
import hashlib
from collections.abc import Mapping
from typing import cast
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

import httpx2

from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

REDIRECT_URI = "http://127.0.0.1:49152/callback/test"
FACEBOOK_REDIRECT_URI = "http://localhost:8470/callback/facebook"
VERIFIER = "a-code-verifier-that-is-long-enough-for-rfc-7636"

Values = Mapping[str, str | None]
Body = dict[str, object]


def s256(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    """The Authorization header of RFC 6749 §2.3.1, form-urlencoded as it says."""
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def merged(values: Values, changes: Values) -> dict[str, str]:
    """`values` with `changes`; None takes one away."""
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


def query_of(url: str) -> dict[str, str]:
    """The query of a URL, each parameter once."""
    pairs = parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in pairs.values())
    return {name: values[0] for name, values in pairs.items()}


def json_of(response: httpx2.Response) -> Body:
    assert response.headers["content-type"] == "application/json"
    return cast("Body", response.json())


def bearer(token: object) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class RelyingParty:
    """A client of the authorization server."""

    def __init__(self, simulator: Simulator, http: httpx2.Client) -> None:
        self.simulator = simulator
        self.http = http

    def parameters(self, changes: Values | None = None) -> dict[str, str]:
        """An authorization request, changed as told."""
        values: Values = {
            "response_type": "code",
            "client_id": self.simulator.client.client_id,
            "redirect_uri": REDIRECT_URI,
            "scope": "ads_read",
            "state": "the-state",
            "code_challenge": s256(VERIFIER),
            "code_challenge_method": "S256",
        }
        return merged(values, changes or {})

    def url(self, changes: Values | None = None) -> str:
        return f"{self.simulator.issuer}/authorize?{urlencode(self.parameters(changes))}"

    def code(self, person: Person, changes: Values | None = None) -> str:
        return query_of(person.consent(self.url(changes)))["code"]

    def post(self, path: str, form: Values, *, is_public: bool = False) -> httpx2.Response:
        """POST a form to an endpoint of the authorization server, authenticated by Basic."""
        client = self.simulator.client
        headers = {} if is_public else basic(client.client_id, client.client_secret)
        body = {name: value for name, value in form.items() if value is not None}
        url = f"{self.simulator.issuer}/{path}"
        return self.http.post(url, data=body, headers=headers)

    def redeem(
        self, code: str, changes: Values | None = None, *, is_public: bool = False
    ) -> httpx2.Response:
        values: Values = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": VERIFIER,
        }
        return self.post("token", merged(values, changes or {}), is_public=is_public)

    def tokens(self, person: Person, changes: Values | None = None) -> dict[str, str]:
        """The members of a first token answer that are strings."""
        body = json_of(self.redeem(self.code(person, changes)))
        assert "error" not in body, body
        return {name: value for name, value in body.items() if isinstance(value, str)}

    def refresh(self, refresh_token: object, changes: Values | None = None) -> httpx2.Response:
        values: Values = {"grant_type": "refresh_token", "refresh_token": str(refresh_token)}
        return self.post("token", merged(values, changes or {}))

    def refreshed(self, refresh_token: object) -> dict[str, str]:
        response = self.refresh(refresh_token)
        body = json_of(response)
        assert response.status_code == 200, body
        return {name: value for name, value in body.items() if isinstance(value, str)}

    def error(self, response: httpx2.Response, status: int = 400) -> str:
        """The error code of a refusal, whose form is checked (RFC 6749 §5.2)."""
        body = json_of(response)
        assert response.status_code == status, body
        assert response.headers["cache-control"] == "no-store"
        assert set(body) == {"error", "error_description"}
        return str(body["error"])

    def is_valid(self, access_token: object) -> bool:
        """Whether the resource server takes an access token."""
        url = f"{self.simulator.api_url}/me"
        return self.http.get(url, headers=bearer(access_token)).status_code == 200


class FacebookApp:
    """An app's server at the Graph-like provider."""

    def __init__(self, simulator: Simulator, http: httpx2.Client) -> None:
        self.simulator = simulator
        self.http = http

    def url(self, changes: Values | None = None) -> str:
        values: Values = {
            "client_id": self.simulator.app.app_id,
            "redirect_uri": FACEBOOK_REDIRECT_URI,
            "state": "the-state",
            "scope": "ads_read",
        }
        query = urlencode(merged(values, changes or {}))
        return f"{self.simulator.dialog_url}/v26.0/dialog/oauth?{query}"

    def code(self, person: Person, changes: Values | None = None) -> str:
        return query_of(person.consent(self.url(changes)).removesuffix("#_=_"))["code"]

    def token(self, changes: Values) -> httpx2.Response:
        app = self.simulator.app
        values: Values = {"client_id": app.app_id, "client_secret": app.app_secret}
        url = f"{self.simulator.graph_url}/v26.0/oauth/access_token"
        return self.http.get(url, params=merged(values, changes))

    def redeem(self, code: str, changes: Values | None = None) -> httpx2.Response:
        values: Values = {"code": code, "redirect_uri": FACEBOOK_REDIRECT_URI}
        return self.token({**values, **(changes or {})})

    def exchange(self, token: str) -> httpx2.Response:
        return self.token({"grant_type": "fb_exchange_token", "fb_exchange_token": token})

    def short_token(self, person: Person, changes: Values | None = None) -> str:
        return str(json_of(self.redeem(self.code(person, changes)))["access_token"])

    def long_token(self, person: Person) -> str:
        return str(json_of(self.exchange(self.short_token(person)))["access_token"])

    def graph(
        self, path: str, token: str | None, values: Values | None = None, method: str = "GET"
    ) -> httpx2.Response:
        parameters = merged({"access_token": token}, values or {})
        url = f"{self.simulator.graph_url}/v26.0/{path}"
        return self.http.request(method, url, params=parameters)

    def error(self, response: httpx2.Response, status: int = 400) -> Body:
        """The error object of a refusal, whose form is checked."""
        body = json_of(response)
        assert response.status_code == status, body
        assert set(body) == {"error"}
        error = cast("Body", body["error"])
        assert str(error.pop("fbtrace_id")).startswith("A")
        return error

    def code_of(self, response: httpx2.Response, status: int = 400) -> tuple[object, object]:
        """Code and subcode of a refusal."""
        error = self.error(response, status)
        return error["code"], error.get("error_subcode")
