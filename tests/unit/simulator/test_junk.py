"""Junk in every place: always a 4xx (or a plain success), never a stack trace."""

import logging
import random
import socket
import string

import httpx2
import pytest

from connector.simulator.person import Person
from connector.simulator.simulator import Simulator

from .relying_party import FacebookApp, RelyingParty, basic, bearer

ALPHABET = f"{string.printable}é€\u0000\u202e💥"

NAMES = (
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "response_type",
    "code_challenge",
    "code_challenge_method",
    "prompt",
    "max_age",
    "request_uri",
    "grant_type",
    "code",
    "code_verifier",
    "refresh_token",
    "device_code",
    "user_code",
    "token",
    "interaction",
    "person",
    "decision",
    "permission",
    "access_token",
    "input_token",
    "appsecret_proof",
    "fields",
    "time_range",
    "level",
    "after",
    "limit",
    "ad_account",
    "since",
    "until",
)


def junk(chance: random.Random) -> str:
    return "".join(chance.choices(ALPHABET, k=chance.randrange(40)))


def value(chance: random.Random, good: list[str]) -> str:
    return chance.choice(good) if chance.random() < 0.6 else junk(chance)


@pytest.mark.parametrize("seed", range(12))
def test_junk_parameters_never_break_an_endpoint(
    simulator: Simulator,
    party: RelyingParty,
    app: FacebookApp,
    http: httpx2.Client,
    ada: Person,
    caplog: pytest.LogCaptureFixture,
    seed: int,
) -> None:
    caplog.set_level(logging.WARNING)
    chance = random.Random(seed)  # noqa: S311 - the same junk in every run
    tokens, graph_token = party.tokens(ada), app.short_token(ada)
    good = [*party.parameters().values(), *tokens.values(), graph_token, "authorization_code"]
    good += ["act_1001", "refresh_token", "1", "ad", "allow", "ada", simulator.app.app_id]
    headers = [
        {},
        bearer(tokens["access_token"]),
        basic(simulator.client.client_id, simulator.client.client_secret),
    ]
    paths = (
        "oauth/authorize",
        "oauth/token",
        "oauth/par",
        "oauth/revoke",
        "oauth/login",
        "oauth/consent",
        "oauth/device",
        "oauth/device_authorization",
        "oauth/userinfo",
        "api/insights",
        "facebook/v26.0/dialog/oauth",
        "facebook/login",
        "facebook/consent",
        "graph/v26.0/oauth/access_token",
        "graph/v26.0/debug_token",
        "graph/v26.0/me",
        "graph/v26.0/me/permissions",
        "graph/v26.0/act_1001/insights",
    )
    for path in paths:
        for method in ("GET", "POST", "DELETE", "PUT"):
            names = chance.sample(NAMES, k=chance.randrange(8))
            sent = {name: value(chance, good) for name in names}
            url = f"{simulator.url}/{path}"
            header = chance.choice(headers)
            if method == "POST":
                response = http.post(url, data=sent, headers=header)
            else:
                response = http.request(method, url, params=sent, headers=header)
            assert response.status_code < 500, (path, method, sent)
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


@pytest.mark.parametrize("seed", range(6))
def test_junk_bodies_never_break_an_endpoint(
    simulator: Simulator, http: httpx2.Client, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same junk in every run
    for path in ("oauth/token", "oauth/par", "oauth/login", "control/settings", "control/faults"):
        for content_type in ("application/x-www-form-urlencoded", "application/json", "x"):
            headers = {
                "Content-Type": content_type,
                "Authorization": f"Bearer {simulator.control_key}",
                "Cookie": junk(chance).encode().hex(),
            }
            body = chance.randbytes(chance.randrange(200))
            response = http.post(f"{simulator.url}/{path}", content=body, headers=headers)
            assert 400 <= response.status_code < 500


def test_bytes_that_are_no_http_get_a_400(simulator: Simulator) -> None:

    host, port = simulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as peer:
        peer.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        assert peer.recv(100).startswith(b"HTTP/1.1 400 ")
