"""Requests as somebody writes them who looks for a way in: seeded, so that each run is the same.

They are put together of good and bad pieces: request lines, hosts, headers that other programs
believe, spellings of our own routes, bodies that do not end. None of them presents a good key.
"""

import random
import re
from collections.abc import Iterator, Sequence
from typing import Final

from connector.api_key import new_key

#: What a request without a good key may be answered.
REFUSALS: Final = frozenset({400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 421, 429, 431})
#: Answers begin so; ``100 Continue`` is none.
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([2-9]\d\d) ")
#: What is shown to everybody: that the daemon lives, and where one signs in.
_OPEN: Final = (b"\r\n\r\nok\n", b"<title>Sign in")
_TO_SIGN_IN: Final = b"\r\nlocation: /login"

_ROUTES: Final = (
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/v1/accounts",
    "/v1/accounts/acme/boss",
    "/v1/accounts/acme/boss/token",
    "/v1/accounts/acme/boss/refresh",
    "/v1/accounts/acme/boss/revoke",
    "/v1/consents",
    "/v1/jobs",
    "/v1/jobs/pull/runs",
    "/v1/runs",
    "/v1/runs/0123456789abcdef/log",
    "/connect/x",
    "/callback/acme",
    "/consent/x",
    "/accounts",
    "/accounts/acme/boss",
    "/connect",
    "/keys",
    "/keys/new",
    "/keys/ci/revoke",
    "/login",
    "/logout",
    "/static/live.js",
)
_SPELLINGS: Final = (
    *("{}",) * 12,
    "{}?x=/healthz",
    "{}#/healthz",
    "/healthz/..{}",
    "/healthz/%2e%2e{}",
    "/healthz%2f..{}",
    "/healthz;{}",
    "/healthz%00{}",
    "/healthz%0d%0aX:%20y{}",
    "/healthz\\..{}",
    "/connect/x/../..{}",
    "/callback/..{}",
    "/consent/x/%2e%2e/%2e%2e{}",
    "//127.0.0.1{}",
    "/.{}",
    "/%2e{}",
    "/{}",
    "{}/",
    "{}//",
    "{};/healthz",
    "{}%20",
    "{}%",
    "{}%zz",
    "{}%ff%fe",
    "{}%e2%80%ae",
    "http://127.0.0.1:8470{}",
    "http://evil.example{}",
    "https://127.0.0.1:8470@evil.example{}",
    "*{}",
)
_METHODS: Final = (
    *("GET", "GET", "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"),
    *("get", "PRI", "G\tET", "GET ", "", "A" * 300, "G\u00cbT", "POST\x00"),
)
_VERSIONS: Final = (
    *("HTTP/1.1",) * 8,
    *("HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.1 x", "http/1.1", ""),
)
_HOSTS: Final = (
    *("{host}",) * 8,
    *("evil.example", "{host}.evil.example", "{host}@evil.example", "evil.example\r\nHost: {host}"),
    *("{host}\r\nHost: {host}", " {host}", "{host} ", "{host}/", "127.0.0.1", "", "127.1:8470"),
    *("LOCALHOST:8470", "localhost.:8470", "[::ffff:127.0.0.1]:8470", "0.0.0.0:8470", "{host}\x00"),
)
_HEADERS: Final = (
    "Origin: null",
    "Origin: https://evil.example",
    "Origin: http://{host}.evil.example",
    "Origin: http://{host}",
    "Sec-Fetch-Site: cross-site",
    "Sec-Fetch-Site: same-site",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Dest: document",
    "Authorization: Bearer {key}",
    "Authorization: bearer",
    "Authorization: Bearer {key}\r\nAuthorization: Bearer {key}",
    "Authorization: Basic {key}",
    "Authorization:\tBearer\t{key}",
    "Authorization: Bearer {key}\x00",
    "Authorization : Bearer {key}",
    "Authorization: Bearer\r\n {key}",
    "Authorization: " + "Bearer " * 500,
    "Authorization: Bearer \xff\xfe",
    "Proxy-Authorization: Bearer {key}",
    "X-API-Key: {key}",
    "Cookie: session={key}; connector_session=admin",
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Host: {host}",
    "X-Forwarded-Proto: https",
    "X_Forwarded_For: ::1",
    "X-Real-IP: 127.0.0.1",
    "Forwarded: for=127.0.0.1;host={host}",
    "X-Forwarded-Uri: /healthz",
    "X-Original-URL: /healthz",
    "X-Rewrite-URL: /healthz",
    "X-Remote-User: root",
    "Remote-User: root",
    "connector.trusted_peer: 1",
    "connector_trusted_peer: 1",
    "Connector-Config: config.toml",
    "User-Agent: ELB-HealthChecker/2.0",
    "X-HTTP-Method-Override: GET",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "Expect: 100-continue",
    "Expect: 200-ok",
    "Range: bytes=0-99999999999",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: \x0bchunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 4",
    "Content-Length: 0\r\nContent-Length: 10",
    "Content-Length: -1",
    "Content-Length: +5",
    "Content-Length: 5e3",
    "Content-Length: 99999999999999999999",
    "Content-Type: text/plain",
    "Content-Type: application/json",
    "Content-Type: application/x-www-form-urlencoded",
    "Accept: text/plain",
    "X: y\r\n folded",
    "X\x00: y",
    "X: y\x00z",
    "X: y\nInjected: z",
    "no colon",
    ": no name",
    "B: " + "b" * 8_000,
)
_BODIES: Final = (
    *(b"",) * 6,
    b"{}",
    b'{"provider": "acme", "account": "acme/boss"}',
    b"[" * 20_000,
    b"\x00\xff" * 2_000,
    b"5\r\nhello\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"0\r\n\r\nGET /v1/accounts HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET /v1/accounts HTTP/1.1\r\nHost: {host}\r\n\r\n" * 20,
)


def hostile_requests(count: int, *, host: str, keys: Sequence[str], seed: int) -> Iterator[bytes]:
    """Give requests, each to be sent over a connection of its own.

    Args:
        count: how many.
        host: that the server goes by.
        keys: that are no good.
        seed: of the choices.
    """
    choices = random.Random(seed)  # noqa: S311 - no secret is made of it
    for _ in range(count):
        yield _request(choices, host, choices.choice(keys))


def bad_keys(good: str) -> list[str]:
    """Give keys that look like a good one."""
    identifier = good.split("_")[1]
    other = new_key().text
    return [
        f"ck_{identifier}_{other.split('_', 2)[2]}",
        good[:-1],
        good.upper(),
        good + "A",
        other,
        "x",
        "",
    ]


def statuses(answer: bytes) -> list[int]:
    """Give the statuses of all answers in what a server sent."""
    return [int(status) for status in _STATUS.findall(answer)]


def is_refusal(answer: bytes) -> bool:
    """Tell whether all that a server sent is refusals, or what everybody may see."""
    found = set(statuses(answer)) - REFUSALS
    if 303 in found and _TO_SIGN_IN in answer:
        found.remove(303)
    is_open = answer.endswith(b"\r\n\r\n") or any(text in answer for text in _OPEN)
    return not found or (found == {200} and is_open)


def _request(choices: random.Random, host: str, key: str) -> bytes:
    method, version = choices.choice(_METHODS), choices.choice(_VERSIONS)
    path = choices.choice(_SPELLINGS).format(choices.choice(_ROUTES))
    if choices.random() < 0.2:
        path = "".join(c.upper() if choices.random() < 0.5 else c for c in path)
    if choices.random() < 0.02:
        path += "/" + "a" * choices.choice((3_000, 70_000))
    named = [f"Host: {choices.choice(_HOSTS)}"] if choices.random() < 0.97 else []
    headers = named + choices.sample(_HEADERS, choices.randrange(4))
    choices.shuffle(headers)
    body = choices.choice(_BODIES)
    if choices.random() < 0.5:
        headers.append(f"Content-Length: {len(body)}")
    headers.append("Connection: close")
    end = choices.choice(("\r\n",) * 9 + ("\n",))
    head = end.join([f"{method} {path} {version}", *headers, "", ""])
    text = head.replace("{host}", host).replace("{key}", key)
    return text.encode("latin-1") + body.replace(b"{host}", host.encode())
