"""Revoking on the wire: RFC 7009, and the calls that providers have instead."""

import base64
import dataclasses
import hashlib
import hmac
import json

import pytest

from connector.oauth.authorization_server import (
    AuthorizationServer,
    ErrorRule,
    Revocation,
    TokenAnswer,
)
from connector.oauth.registration import AuthMethod, ClientRegistration
from connector.oauth.revocation import RevocationAnswer, revoke
from connector.oauth.wire import Wire
from connector.secret import Secret
from tests.unit.raw_server import RawServer, Script, answer, closed_port, hang_up, reset

NOW = 1_800_000_000.0
CANARY = "canary-dead"
BOTH = {"access_token": Secret("a t"), "refresh_token": Secret("r/t")}
DONE = RevocationAnswer(is_done=True)


def make(server: RawServer, **revocation: object) -> AuthorizationServer:
    endpoint = str(revocation.pop("endpoint", "/revoke"))
    return AuthorizationServer(
        authorization_endpoint=f"{server.origin}/authorize",
        token_endpoint=f"{server.origin}/token",
        revocation=Revocation(endpoint=server.origin + endpoint, **revocation),  # type: ignore[arg-type]
        token_answer=TokenAnswer(
            errors=(ErrorRule(when={"error.code": (190,)}, means="invalid_grant"),)
        ),
    )


async def run(
    wire: Wire,
    server: AuthorizationServer,
    tokens: dict[str, Secret] | None = None,
    method: AuthMethod = "client_secret_basic",
    subject: str | None = "user/1",
) -> RevocationAnswer:
    registration = ClientRegistration(
        client_id="our:client", auth_method=method, client_secret=Secret("our s€cret")
    )
    return await revoke(
        wire,
        server,
        registration,
        tokens=BOTH if tokens is None else tokens,
        subject=subject,
        now=NOW,
    )


BASIC = "Basic " + base64.b64encode(b"our%3Aclient:our+s%E2%82%ACcret").decode()


# --- RFC 7009


async def test_the_refresh_token_goes_first(wire: Wire, server: RawServer) -> None:
    """39: form-encoded POSTs; nothing in the URL."""
    server.will(answer(200, b""))
    assert await run(wire, make(server)) == DONE
    assert [request.form for request in server.received] == [
        [("token", "r/t"), ("token_type_hint", "refresh_token")],
        [("token", "a t"), ("token_type_hint", "access_token")],
    ]
    for request in server.received:
        assert (request.method, request.target) == ("POST", "/revoke")
        assert request.header("Authorization") == BASIC
        assert request.header("Content-Type") == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("authentication", "method", "header", "names"),
    [
        ("client", "client_secret_post", None, {"client_id", "client_secret"}),
        ("client", "none", None, {"client_id"}),
        ("client", "client_secret_basic", BASIC, set()),
        ("basic", "client_secret_post", BASIC, set()),
        ("bearer", "client_secret_post", "Bearer a t", set()),
        ("none", "client_secret_post", None, set()),
    ],
)
@pytest.mark.parametrize("is_standard", [True, False])
async def test_how_it_is_authenticated(
    *,
    wire: Wire,
    server: RawServer,
    authentication: str,
    method: AuthMethod,
    header: str | None,
    names: set[str],
    is_standard: bool,
) -> None:
    """81: as the provider's data says, standard or not, exactly once."""
    made = make(server, authentication=authentication, is_standard=is_standard)
    assert await run(wire, made, method=method) == DONE
    for request in server.received:
        assert request.header("Authorization") == header
        fields = {name for name, _ in request.form} if request.body else set()
        assert fields - {"token", "token_type_hint"} == names


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (answer(200, b""), DONE),
        (answer(204, b""), DONE),
        (answer(200, b"<html>"), DONE),
        (answer(400, {"error": "invalid_token"}), DONE),
        (answer(400, {"error": "invalid_grant"}), DONE),
        (answer(401, {"error": "invalid_client"}),
         RevocationAnswer(is_done=False, cause="the provider answered invalid_client")),
        (answer(401, b""), RevocationAnswer(is_done=False, cause="the provider answered 401")),
        (answer(404, b""), RevocationAnswer(is_done=False, cause="the provider answered 404")),
        (answer(400, {"error": "unsupported_token_type"}),
         RevocationAnswer(is_done=False, cause="the provider answered 400")),
        (answer(302, b"", {"Location": "/x"}),
         RevocationAnswer(is_done=False, cause="the provider answered 302")),
        (answer(503, b"", {"Retry-After": "17"}),
         RevocationAnswer(is_done=False, cause="the provider answered 503", retry_after=17.0)),
        (answer(500, b""), RevocationAnswer(is_done=False, cause="the provider answered 500")),
        (hang_up, RevocationAnswer(is_done=False, cause="no usable answer")),
        (reset, RevocationAnswer(is_done=False, cause="no usable answer")),
    ],
)  # fmt: skip
async def test_what_a_refresh_token_s_revocation_comes_to(
    wire: Wire, server: RawServer, script: Script, expected: RevocationAnswer
) -> None:
    """What is not confirmed stays a debt; a token that the server does not know is revoked."""
    server.will(script)
    assert await run(wire, make(server), {"refresh_token": Secret("rt")}) == expected
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "second",
    [
        answer(400, {"error": "unsupported_token_type"}),
        answer(400, {"error": "invalid_token"}),
        answer(200, b""),
    ],
)
async def test_an_access_token_that_is_gone_with_the_refresh_token(
    wire: Wire, server: RawServer, second: Script
) -> None:
    """Google answers invalid_token to the second; others take refresh tokens only."""
    server.will(answer(200, b""), second)
    assert await run(wire, make(server)) == DONE
    assert len(server.received) == 2


@pytest.mark.parametrize(
    "second", [answer(503, b""), answer(400, {"error": "unsupported_token_type x"}), hang_up]
)
async def test_an_access_token_that_is_not_gone_stays_a_debt(
    wire: Wire, server: RawServer, second: Script
) -> None:
    server.will(answer(200, b""), second)
    assert not (await run(wire, make(server))).is_done


async def test_a_failure_stops_at_the_refresh_token(wire: Wire, server: RawServer) -> None:
    server.will(answer(503, b""))
    assert not (await run(wire, make(server))).is_done
    assert len(server.received) == 1


async def test_without_tokens_there_is_nothing_to_revoke(wire: Wire, server: RawServer) -> None:
    assert await run(wire, make(server), {}) == DONE
    assert server.received == []


async def test_a_provider_that_offers_none(wire: Wire, server: RawServer) -> None:
    made = dataclasses.replace(make(server), revocation=None)
    outcome = await run(wire, made)
    assert outcome == RevocationAnswer(is_done=False, cause="the provider offers no revocation")
    assert server.connections == 0


async def test_nobody_there(wire: Wire, server: RawServer) -> None:
    made = dataclasses.replace(
        make(server), revocation=Revocation(endpoint=f"http://127.0.0.1:{closed_port()}/revoke")
    )
    outcome = await run(wire, made)
    assert not outcome.is_done
    assert outcome.cause.startswith("connection failed")


# --- calls of their own


async def test_a_call_with_a_body(wire: Wire, server: RawServer) -> None:
    """As GitHub has it: DELETE, Basic, JSON."""
    made = make(
        server,
        endpoint="/applications/{client_id}/grant",
        method="DELETE",
        encoding="json",
        authentication="basic",
        parameters={"access_token": "{access_token}", "note": "{subject} {unknown} {"},
        is_standard=False,
    )
    assert await run(wire, made) == DONE
    (request,) = server.received
    assert (request.method, request.target) == ("DELETE", "/applications/our%3Aclient/grant")
    assert request.header("Authorization") == BASIC
    assert request.header("Content-Type") == "application/json"
    assert json.loads(request.body) == {"access_token": "a t", "note": "user/1 {unknown} {"}


async def test_a_call_without_a_body(wire: Wire, server: RawServer) -> None:
    """As Facebook has it: DELETE with the token in the header, and a proof in the query."""
    made = make(
        server,
        endpoint="/v1/{subject}/permissions?appsecret_proof={proof}",
        method="DELETE",
        encoding="none",
        authentication="bearer",
        is_standard=False,
    )
    assert await run(wire, made) == DONE
    (request,) = server.received
    proof = hmac.new("our s€cret".encode(), b"a t", hashlib.sha256).hexdigest()
    assert request.target == f"/v1/user%2F1/permissions?appsecret_proof={proof}"
    assert request.header("Authorization") == "Bearer a t"
    assert request.header("Content-Type") is None
    assert request.body == b""


async def test_a_person_who_is_not_known_is_me(wire: Wire, server: RawServer) -> None:
    made = make(server, endpoint="/{subject}/x", encoding="none", is_standard=False)
    await run(wire, dataclasses.replace(made), subject=None)
    assert server.received[0].target == "/me/x"


async def test_a_value_is_never_taken_for_a_placeholder(wire: Wire, server: RawServer) -> None:
    """A provider chooses subjects and tokens; it must not be able to ask for our secret."""
    made = make(
        server,
        endpoint="/{subject}/{refresh_token}",
        parameters={"a": "{subject}", "b": "{refresh_token}"},
        authentication="none",
        is_standard=False,
    )
    tokens = {"refresh_token": Secret("{client_secret}")}
    await run(wire, made, tokens, subject="{client_secret}")
    (request,) = server.received
    assert request.target == "/%7Bclient_secret%7D/%7Bclient_secret%7D"
    assert dict(request.form) == {"a": "{client_secret}", "b": "{client_secret}"}


async def test_a_token_cannot_leave_its_place_in_a_url(wire: Wire, server: RawServer) -> None:
    made = make(
        server,
        endpoint="/tokens/{refresh_token}",
        method="DELETE",
        encoding="none",
        authentication="none",
        is_standard=False,
    )
    await run(wire, made, {"refresh_token": Secret("../../admin?x=#é\r\n")})
    assert server.received[0].target == "/tokens/..%2F..%2Fadmin%3Fx%3D%23%C3%A9%0D%0A"


async def test_a_call_that_needs_a_refresh_token_where_there_is_none(
    wire: Wire, server: RawServer
) -> None:
    made = make(server, endpoint="/tokens/{refresh_token}", encoding="none", is_standard=False)
    outcome = await run(wire, made, {"access_token": Secret("at")})
    assert outcome.is_done
    assert server.connections == 0


@pytest.mark.parametrize(
    ("authentication", "script", "is_done"),
    [
        ("bearer", answer(200, {"success": True}), True),
        ("bearer", answer(200, b"true"), True),
        ("bearer", answer(204, b""), True),
        ("bearer", answer(401, b""), True),
        ("bearer", answer(404, b""), True),
        ("bearer", answer(410, b""), True),
        ("bearer", answer(400, {"error": {"code": 190}}), True),
        ("basic", answer(404, b""), True),
        ("basic", answer(401, {"message": "Bad credentials"}), False),
        ("none", answer(401, b""), False),
        ("basic", answer(422, {"message": "Validation failed"}), False),
        ("bearer", answer(200, {"success": False}), False),
        ("bearer", answer(200, {"ok": False, "error": "token_revoked_not"}), False),
        ("bearer", answer(200, {"error": {"code": 2, "message": "Service Unavailable"}}), False),
        ("bearer", answer(400, {"error": {"code": 1}}), False),
        ("bearer", answer(500, b""), False),
        ("bearer", hang_up, False),
    ],
)
async def test_what_a_call_of_its_own_comes_to(
    *, wire: Wire, server: RawServer, authentication: str, script: Script, is_done: bool
) -> None:
    """A 401 to our credentials is no proof that a token is dead."""
    server.will(script)
    made = make(server, authentication=authentication, is_standard=False)
    assert (await run(wire, made)).is_done is is_done


async def test_nothing_that_is_told_quotes_a_token(wire: Wire, server: RawServer) -> None:
    """165: neither does its cause go into a table with one."""
    text = {"error": "odd", "error_description": CANARY, "message": CANARY}
    server.will(answer(400, text))
    for is_standard in (True, False):
        outcome = await run(
            wire, make(server, is_standard=is_standard), {"refresh_token": Secret(CANARY)}
        )
        assert CANARY not in repr(outcome)
