"""Token requests on the wire, and what their answers come to (CHECKLIST 39-41, 44, 49, 50, 74)."""

import dataclasses
import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from connector.oauth.authorization_server import AuthorizationServer, TokenAnswer, TokenRequest
from connector.oauth.registration import AuthMethod, ClientRegistration
from connector.oauth.token_endpoint import TokenEndpoint
from connector.oauth.token_response import (
    Granted,
    NeverSent,
    OutcomeUnknown,
    Refused,
    RefusedUnexplained,
    Unavailable,
)
from connector.oauth.wire import Wire
from connector.secret import Secret
from tests.unit.raw_server import RawServer, answer, closed_port, hang_up, reset

NOW = 1_800_000_000.0
CANARY = "canary-7e57"
REDIRECT_URI = "http://127.0.0.1:8470/callback/acme?a=%20b&c=+"
GOOD = answer(200, {"access_token": "at", "expires_in": 3600})


def make(
    wire: Wire,
    server: RawServer,
    style: TokenRequest | None = None,
    method: AuthMethod = "client_secret_post",
    path: str = "/token",
) -> TokenEndpoint:
    authorization_server = AuthorizationServer(
        authorization_endpoint=f"{server.origin}/authorize",
        token_endpoint=f"{server.origin}{path}",
        pushed_authorization_request_endpoint=f"{server.origin}/par",
        issuer=server.origin,
        token_request=style or TokenRequest(),
    )
    registration = ClientRegistration(
        client_id="our:client", auth_method=method, client_secret=Secret("our s€cret")
    )
    return TokenEndpoint(authorization_server, registration, wire, now=lambda: NOW)


async def test_a_public_client_refreshes(wire: Wire, server: RawServer) -> None:
    server.will(answer(400, {"error": "invalid_grant", "error_description": f"bad {CANARY}"}))
    endpoint = make(wire, server)
    endpoint.registration = ClientRegistration(client_id="c", auth_method="none")
    outcome = await endpoint.refresh(Secret(CANARY), {})
    assert outcome == Refused(error="invalid_grant", status=400, description="bad …")
    assert dict(server.received[0].form) == {
        "grant_type": "refresh_token",
        "refresh_token": CANARY,
        "client_id": "c",
    }


async def test_a_code_is_exchanged(wire: Wire, server: RawServer) -> None:
    """39, 40: a form-encoded POST; the redirect URI byte-identical; nothing in the URL."""
    server.will(GOOD)
    outcome = await make(wire, server).exchange_code(
        code=Secret("c+d/e="),
        redirect_uri=REDIRECT_URI,
        code_verifier=Secret("v" * 43),
        parameters={"audience": "api"},
    )
    assert isinstance(outcome, Granted)
    assert outcome.tokens.expires_at == NOW + 3600
    (request,) = server.received
    assert (request.method, request.target) == ("POST", "/token")
    assert request.header("Content-Type") == "application/x-www-form-urlencoded"
    assert request.header("Accept") == "application/json"
    assert request.header("Authorization") is None
    assert sorted(request.form) == sorted(
        {
            "grant_type": "authorization_code",
            "code": "c+d/e=",
            "redirect_uri": REDIRECT_URI,
            "code_verifier": "v" * 43,
            "audience": "api",
            "client_id": "our:client",
            "client_secret": "our s€cret",
        }.items()
    )


async def test_without_pkce_no_verifier_is_sent(wire: Wire, server: RawServer) -> None:
    await make(wire, server).exchange_code(
        code=Secret("c"), redirect_uri=REDIRECT_URI, code_verifier=None, parameters={}
    )
    assert "code_verifier" not in dict(server.received[0].form)


async def test_a_refresh(wire: Wire, server: RawServer) -> None:
    """74: scope is left out: as granted."""
    server.will(GOOD)
    await make(wire, server).refresh(Secret("rt"), {})
    assert dict(server.received[0].form) == {
        "grant_type": "refresh_token",
        "refresh_token": "rt",
        "client_id": "our:client",
        "client_secret": "our s€cret",
    }


async def test_an_access_token_is_exchanged(wire: Wire, server: RawServer) -> None:
    await make(wire, server).exchange_access_token(
        Secret("at"), grant_type="fb_exchange_token", parameter="fb_exchange_token"
    )
    form = dict(server.received[0].form)
    assert (form["grant_type"], form["fb_exchange_token"]) == ("fb_exchange_token", "at")


@pytest.mark.parametrize(
    "name", ["code", "redirect_uri", "code_verifier", "grant_type", "refresh_token"]
)
async def test_further_parameters_replace_nothing(wire: Wire, server: RawServer, name: str) -> None:
    """40, 14: whatever a provider's data or an operator says."""
    endpoint = make(wire, server, TokenRequest(parameters={name: "evil"}))
    await endpoint.exchange_code(
        code=Secret("c"),
        redirect_uri=REDIRECT_URI,
        code_verifier=Secret("v"),
        parameters={name: "evil"},
    )
    await endpoint.refresh(Secret("rt"), {name: "evil"})
    exchange, refresh = (dict(request.form) for request in server.received)
    assert (exchange["code"], exchange["redirect_uri"]) == ("c", REDIRECT_URI)
    assert (exchange["code_verifier"], exchange["grant_type"]) == ("v", "authorization_code")
    assert (refresh["refresh_token"], refresh["grant_type"]) == ("rt", "refresh_token")


@pytest.mark.parametrize("name", ["body", "redirect_uri", "scope", "self", "url", "headers"])
async def test_a_parameter_may_have_any_name(wire: Wire, server: RawServer, name: str) -> None:
    await make(wire, server).refresh(Secret("rt"), {name: "a=b&c"})
    assert dict(server.received[0].form)[name] == "a=b&c"


async def test_basic_leaves_the_form_alone(wire: Wire, server: RawServer) -> None:
    """81: exactly one method of authentication in a request."""
    await make(wire, server, method="client_secret_basic").refresh(Secret("rt"), {})
    (request,) = server.received
    assert dict(request.form) == {"grant_type": "refresh_token", "refresh_token": "rt"}
    authorization = request.header("Authorization")
    assert authorization is not None
    assert authorization.startswith("Basic ")


async def test_parameters_in_a_query(wire: Wire, server: RawServer) -> None:
    """39: only where a provider's data says so (Facebook); no body, and no length to wait for."""
    server.will(GOOD)
    style = TokenRequest(method="GET", encoding="query", parameters={"v": "1"})
    outcome = await make(wire, server, style, path="/token?fixed=x").refresh(Secret("r+t&é"), {})
    assert isinstance(outcome, Granted)
    (request,) = server.received
    assert request.method == "GET"
    assert request.query == [
        ("fixed", "x"),
        ("grant_type", "refresh_token"),
        ("v", "1"),
        ("refresh_token", "r+t&é"),
        ("client_id", "our:client"),
        ("client_secret", "our s€cret"),
    ]
    assert request.header("Content-Length") is None
    assert request.header("Content-Type") is None


async def test_parameters_as_json(wire: Wire, server: RawServer) -> None:
    style = TokenRequest(encoding="json", headers={"X-Version": "2"}, parameters={"empty": ""})
    await make(wire, server, style).refresh(Secret("r+t é"), {})
    (request,) = server.received
    assert request.header("Content-Type") == "application/json"
    assert request.header("X-Version") == "2"
    assert json.loads(request.body) == {
        "grant_type": "refresh_token",
        "empty": "",
        "refresh_token": "r+t é",
        "client_id": "our:client",
        "client_secret": "our s€cret",
    }


@pytest.mark.parametrize("encoding", ["form", "json", "query"])
async def test_names_of_the_provider_s_own(wire: Wire, server: RawServer, encoding: str) -> None:
    """Some call client_id client_key, and the code auth_code."""
    style = TokenRequest(
        encoding=encoding,  # type: ignore[arg-type]
        renames={"client_id": "client_key", "code": "auth_code", "grant_type": "type"},
    )
    await make(wire, server, style).exchange_code(
        code=Secret("c"), redirect_uri=REDIRECT_URI, code_verifier=None, parameters={}
    )
    (request,) = server.received
    if encoding == "json":
        sent = json.loads(request.body)
    else:
        sent = dict(request.form if encoding == "form" else request.query)
    assert sent == {
        "type": "authorization_code",
        "auth_code": "c",
        "redirect_uri": REDIRECT_URI,
        "client_key": "our:client",
        "client_secret": "our s€cret",
    }


@pytest.mark.parametrize("encoding", ["form", "json"])
async def test_long_tokens_are_sent_whole(wire: Wire, server: RawServer, encoding: str) -> None:
    """50: however long."""
    token = "A+/=" * 40_000
    style = TokenRequest(encoding=encoding)  # type: ignore[arg-type]
    await make(wire, server, style).refresh(Secret(token), {})
    (request,) = server.received
    found = json.loads(request.body) if encoding == "json" else dict(request.form)
    assert found["refresh_token"] == token


async def test_a_form_encoded_answer_where_the_provider_gives_one(
    wire: Wire, server: RawServer
) -> None:
    server.will(answer(200, b"access_token=a%2Bt&expires_in=60"))
    endpoint = make(wire, server)
    endpoint.server = dataclasses.replace(
        endpoint.server, token_answer=TokenAnswer(encoding="form")
    )
    outcome = await endpoint.refresh(Secret("rt"), {})
    assert isinstance(outcome, Granted)
    assert outcome.tokens.access_token.reveal() == "a+t"


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (answer(400, {"error": "invalid_grant"}), Refused),
        (answer(400, b"{}"), RefusedUnexplained),
        (answer(307, b"", {"Location": "/elsewhere"}), RefusedUnexplained),
        (answer(429, b"", {"Retry-After": "7"}), Unavailable),
        (answer(500, {"error": "invalid_grant"}), OutcomeUnknown),
        (answer(200, b"<html>"), OutcomeUnknown),
        (hang_up, OutcomeUnknown),
        (reset, OutcomeUnknown),
    ],
)
async def test_one_request_and_one_outcome(
    wire: Wire, server: RawServer, script: object, kind: type
) -> None:
    """41, 49: whatever happens, nothing is sent twice and nothing is raised."""
    server.will(script)  # type: ignore[arg-type]
    outcome = await make(wire, server).refresh(Secret("rt"), {})
    assert isinstance(outcome, kind)
    assert len(server.received) == server.connections == 1


async def test_nobody_listens(wire: Wire, server: RawServer) -> None:
    endpoint = make(wire, server)
    endpoint.server = dataclasses.replace(
        endpoint.server, token_endpoint=f"http://127.0.0.1:{closed_port()}/token"
    )
    assert isinstance(await endpoint.refresh(Secret("rt"), {}), NeverSent)


async def test_time_counts_from_when_the_request_was_sent(wire: Wire, server: RawServer) -> None:
    """44: a slow answer does not make a token look longer-lived."""
    times = iter([NOW, NOW + 25])
    server.will(answer(200, {"access_token": "at", "expires_in": 60}))
    endpoint = make(wire, server)
    endpoint._now = lambda: next(times)
    outcome = await endpoint.refresh(Secret("rt"), {})
    assert isinstance(outcome, Granted)
    assert outcome.tokens.expires_at == NOW + 60


@pytest.mark.parametrize(
    "description",
    [f"Malformed access token {CANARY}", "Bad secret: our s€cret", f"code={CANARY} is not ours"],
)
async def test_what_a_server_quotes_of_our_secrets_is_not_shown(
    wire: Wire, server: RawServer, description: str
) -> None:
    """165: its text goes into messages, logs and the last_error of an account."""
    server.will(answer(400, {"error": "invalid_grant", "error_description": description}))
    outcome = await make(wire, server).exchange_code(
        code=Secret(CANARY), redirect_uri=REDIRECT_URI, code_verifier=None, parameters={}
    )
    assert isinstance(outcome, Refused)
    assert outcome.description is not None
    assert CANARY not in outcome.description
    assert "s€cret" not in outcome.description


async def test_what_a_server_quotes_of_what_is_not_secret_helps(
    wire: Wire, server: RawServer
) -> None:
    text = f"redirect_uri {REDIRECT_URI} of our:client is not registered"
    server.will(answer(400, {"error": "invalid_grant", "error_description": text}))
    outcome = await make(wire, server).exchange_code(
        code=Secret("c"), redirect_uri=REDIRECT_URI, code_verifier=None, parameters={}
    )
    assert isinstance(outcome, Refused)
    assert outcome.description == text


# --- pushed authorization requests (RFC 9126)

PUSHED = {"response_type": "code", "client_id": "our:client", "state": "s", "redirect_uri": "r"}


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("client_secret_post", {*PUSHED, "client_secret"}),
        ("none", {*PUSHED}),
        ("client_secret_basic", {*PUSHED}),
    ],
)
async def test_a_request_is_pushed(
    wire: Wire, server: RawServer, method: AuthMethod, names: set[str]
) -> None:
    """39: each parameter once, in the body of a POST."""
    server.will(answer(201, {"request_uri": "urn:x:1", "expires_in": 90}))
    pushed = await make(wire, server, method=method).push_authorization_request(PUSHED)
    assert pushed == ("urn:x:1", 90.0)
    (request,) = server.received
    assert (request.method, request.target) == ("POST", "/par")
    assert {name for name, _ in request.form} == names
    assert len(request.form) == len(names)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, {"request_uri": "urn:x:1"}, ("urn:x:1", 60.0)),
        (201, {"request_uri": "urn:x:1", "expires_in": "x"}, ("urn:x:1", 60.0)),
        (201, {}, OutcomeUnknown(cause="the answer is unusable: no request_uri")),
        (201, {"request_uri": ""}, OutcomeUnknown(cause="the answer is unusable: no request_uri")),
        (201, {"request_uri": 5}, OutcomeUnknown(cause="the answer is unusable: no request_uri")),
        (201, b"<html>", OutcomeUnknown(cause="the answer is unusable: not JSON")),
        (400, {"error": "invalid_request"}, Refused(error="invalid_request", status=400)),
        (401, {"error": "invalid_client"}, Refused(error="invalid_client", status=401)),
        (302, b"", RefusedUnexplained(status=302)),
        (503, b"", Unavailable(status=503)),
        (404, b"", RefusedUnexplained(status=404)),
    ],
)
async def test_what_a_push_is_answered(
    wire: Wire, server: RawServer, status: int, body: object, expected: object
) -> None:
    server.will(answer(status, body))
    assert await make(wire, server).push_authorization_request(PUSHED) == expected


async def test_a_push_that_gets_lost(wire: Wire, server: RawServer) -> None:
    server.will(hang_up)
    outcome = await make(wire, server).push_authorization_request(PUSHED)
    assert isinstance(outcome, OutcomeUnknown)


async def test_a_request_uri_fits_into_a_url(wire: Wire, server: RawServer) -> None:
    server.will(answer(201, {"request_uri": "urn:x:a b&c"}))
    pushed = await make(wire, server).push_authorization_request(PUSHED)
    assert isinstance(pushed, tuple)
    from connector.oauth.authorization_request import add_to_query

    url = add_to_query("https://id.example/authorize", {"request_uri": pushed[0]})
    assert parse_qsl(urlsplit(url).query) == [("request_uri", "urn:x:a b&c")]
