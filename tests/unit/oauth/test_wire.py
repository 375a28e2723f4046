"""One HTTP exchange, against a server that misbehaves in every way (CHECKLIST 39-52, 160, 165)."""

import asyncio
import datetime as dt
import gzip
import ipaddress
import logging
import os
import ssl
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connector.oauth.token_response import NeverSent, OutcomeUnknown
from connector.oauth.wire import DEADLINE, LARGEST_ANSWER, Wire, WireAnswer, make_transport
from tests.unit.raw_server import (
    Exchange,
    RawServer,
    Script,
    answer,
    closed_port,
    dripping,
    endless,
    hang_up,
    raw,
    reset,
    silence,
    zipped,
)

CANARY = "canary-90fe"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODY = f"refresh_token={CANARY}".encode()


async def post(wire: Wire, server: RawServer) -> WireAnswer | NeverSent | OutcomeUnknown:
    return await wire.send("POST", f"{server.origin}/token", FORM, BODY)


async def impatient_post(server: RawServer) -> WireAnswer | NeverSent | OutcomeUnknown:
    wire = Wire(make_transport(), deadline=0.2)
    try:
        return await post(wire, server)
    finally:
        await wire.aclose()


async def test_what_is_sent(wire: Wire, server: RawServer) -> None:
    """39: a POST with a form and Accept: application/json; nothing that was not asked for."""
    server.will(answer(200, {"access_token": "x"}, {"X-Request-Id": "7"}))
    outcome = await post(wire, server)
    assert isinstance(outcome, WireAnswer)
    assert outcome.status == 200
    assert outcome.body == b'{"access_token": "x"}'
    assert outcome.headers["x-request-id"] == "7"
    (request,) = server.received
    assert (request.method, request.target, request.body) == ("POST", "/token", BODY)
    assert dict(request.headers) == {
        "Host": server.origin.removeprefix("http://"),
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "connector",
        "Content-Type": "application/x-www-form-urlencoded",
        "Content-Length": str(len(BODY)),
    }


async def test_a_header_of_the_caller_replaces_ours(wire: Wire, server: RawServer) -> None:
    """GitHub's API wants an Accept of its own; twice the same header would be two."""
    await wire.send("GET", f"{server.origin}/user", {"accept": "application/vnd.github+json"})
    (request,) = server.received
    assert request.header("Accept") == "application/vnd.github+json"
    assert request.header("Content-Length") is None


async def test_a_query_is_sent_as_it_stands(wire: Wire, server: RawServer) -> None:
    await wire.send("GET", f"{server.origin}/a%2Fb?x=1+2&y=%C3%A9&z=a%2Bb&empty=", {})
    assert server.received[0].target == "/a%2Fb?x=1+2&y=%C3%A9&z=a%2Bb&empty="


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(wire: Wire, server: RawServer, status: int) -> None:
    """41: neither body nor header goes to where a redirect points."""
    capture = RawServer()
    await capture.start()
    server.will(answer(status, b"", {"Location": f"{capture.origin}/steal"}))
    outcome = await post(wire, server)
    await capture.stop()
    assert isinstance(outcome, WireAnswer)
    assert outcome.status == status
    assert (capture.connections, len(server.received)) == (0, 1)


async def test_no_cookie_is_kept(wire: Wire, server: RawServer) -> None:
    """52: accounts of one provider share no state."""
    server.will(answer(200, b"{}", {"Set-Cookie": "session=1; Path=/"}))
    for _ in range(2):
        await post(wire, server)
    assert [request.header("Cookie") for request in server.received] == [None, None]


async def test_each_request_has_a_connection_of_its_own(wire: Wire, server: RawServer) -> None:
    """49: an idle connection may have died, and then nobody knows what arrived."""
    for _ in range(3):
        await post(wire, server)
    assert (server.connections, len(server.received)) == (3, 3)


async def test_a_reset_after_an_answer_spoils_no_later_request(
    wire: Wire, server: RawServer
) -> None:
    """49: a server that keeps alive and then resets; the next request does not notice."""
    server.will(raw(HEAD + b"Content-Length: 2\r\nConnection: keep-alive\r\n\r\n{}", then=reset))
    outcomes = [await post(wire, server) for _ in range(3)]
    assert all(isinstance(outcome, WireAnswer) for outcome in outcomes)
    assert len(server.received) == 3


async def accept_and_reset(exchange: Exchange) -> None:
    exchange.reset()


#: What came after the request had left, so that the server may have acted.
LOST: list[tuple[str, Script]] = [
    ("reset", reset),
    ("hang-up", hang_up),
    ("hang-up-in-status-line", raw(b"HTTP/1.1 20", then=hang_up)),
    ("reset-in-headers", raw(HEAD, then=reset)),
    ("hang-up-in-headers", raw(HEAD + b"Content-Le", then=hang_up)),
    ("cut-body", raw(HEAD + b'Content-Length: 100\r\n\r\n{"access_token":"x"}', then=hang_up)),
    ("reset-in-body", raw(HEAD + b'Content-Length: 100\r\n\r\n{"access', then=reset)),
    ("cut-chunks", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}   \r\n", then=hang_up)),
    ("bad-chunk", raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", then=hang_up)),
    ("not-http", raw(b"220 smtp.example ESMTP\r\n", then=hang_up)),
    ("html-without-head", raw(b"<html>not found</html>\r\n\r\n", then=hang_up)),
    ("two-lengths", raw(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", then=hang_up)),
    ("negative-length", raw(HEAD + b"Content-Length: -1\r\n\r\n{}", then=hang_up)),
    ("endless-headers", endless(HEAD, b"X-A: " + b"a" * 1000 + b"\r\n")),
    ("endless-header", endless(HEAD + b"X-A: ", b"a" * 10_000)),
    ("endless-status", endless(b"HTTP/1.1 ", b"2" * 10_000)),
    ("endless-body", endless(HEAD + b"\r\n", b"a" * 65_536)),
    ("endless-chunks", endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 1000)),
    ("too-long-body", answer(200, b"a" * (LARGEST_ANSWER + 1))),
    ("gzip-bomb", zipped(b" " * 20 * LARGEST_ANSWER)),
    ("gzip-too-long", zipped(os.urandom(LARGEST_ANSWER + 1))),
    ("cut-gzip", answer(200, gzip.compress(b"{}" * 500)[:-9], {"Content-Encoding": "gzip"})),
    ("gzip-in-two", answer(200, gzip.compress(b"{") * 2, {"Content-Encoding": "gzip"})),
    ("not-gzip", answer(200, b"{}", {"Content-Encoding": "gzip"})),
    ("brotli", answer(200, b"{}", {"Content-Encoding": "br"})),
    ("gzip-twice", answer(200, b"{}", {"Content-Encoding": "gzip, gzip"})),
]


@pytest.mark.parametrize("script", [s for _, s in LOST], ids=[name for name, _ in LOST])
async def test_sent_and_no_usable_answer(wire: Wire, server: RawServer, script: Script) -> None:
    """42, 49: the outcome is unknown, and nothing is sent a second time behind our back."""
    server.will(script)
    outcome = await post(wire, server)
    assert isinstance(outcome, OutcomeUnknown)
    assert outcome.status is None
    assert outcome.cause
    assert (server.connections, len(server.received)) == (1, 1)


async def test_a_reset_before_anything_was_read_is_unknown(wire: Wire, server: RawServer) -> None:
    """49: bytes had left; that nobody read them is not known here."""
    server.before_reading = accept_and_reset
    outcome = await post(wire, server)
    assert isinstance(outcome, OutcomeUnknown)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        (silence, "no answer within 0 s"),
        (dripping(HEAD + b"\r\n", b" "), "no answer within 0 s"),
        (dripping(HEAD, b"X: y\r\n"), "no answer within 0 s"),
        (dripping(b"", b"HTTP/1.1 102 Processing\r\n\r\n"), "no answer within 0 s"),
        (raw(HEAD + b"Content-Length: 9\r\n\r\n{}", then=silence), "no answer within 0 s"),
    ],
    ids=["silence", "dripping-body", "dripping-headers", "endless-1xx", "stuck-body"],
)
async def test_a_total_deadline_holds(server: RawServer, script: Script, cause: str) -> None:
    """42: however slowly and steadily a server answers."""
    server.will(script)
    assert await impatient_post(server) == OutcomeUnknown(cause=cause)
    assert len(server.received) == 1


async def test_an_answer_that_came_while_the_process_stood_still_is_read(
    server: RawServer,
) -> None:
    """A refresh token rotates once: what has arrived is not thrown away for being late."""
    server.will(answer(200, {"access_token": "x"}))
    wire = Wire(make_transport(), deadline=0.2)
    sending = asyncio.create_task(post(wire, server))
    while not server.received:  # noqa: ASYNC110 - a thread receives, without an event of ours
        await asyncio.sleep(0)
    time.sleep(0.5)  # noqa: ASYNC251 - this is what a blocked event loop, or SIGSTOP, looks like
    assert isinstance(await sending, WireAnswer)
    await wire.aclose()


async def test_nothing_is_sent_where_the_right_to_send_has_ended(
    wire: Wire, server: RawServer
) -> None:
    outcome = await wire.send("POST", f"{server.origin}/token", FORM, BODY, may_send=lambda: False)
    assert isinstance(outcome, NeverSent)
    assert server.received == []
    server.will(answer(200, {"access_token": "x"}))
    allowed = await wire.send("POST", f"{server.origin}/token", FORM, BODY, may_send=lambda: True)
    assert isinstance(allowed, WireAnswer)


def test_the_deadline_is_shorter_than_a_lease() -> None:
    from connector.store.grant_statements import LEASE_DURATION

    assert DEADLINE < LEASE_DURATION


@pytest.mark.parametrize(
    "script",
    [
        zipped(b" " * 100 * LARGEST_ANSWER),
        endless(HEAD + b"\r\n", b"a" * 65_536),
        endless(HEAD + b"X-A: ", b"a" * 10_000),
    ],
    ids=["gzip-bomb", "endless-body", "endless-header"],
)
async def test_what_is_too_large_takes_no_memory(
    wire: Wire, server: RawServer, script: Script
) -> None:
    """42: a hundred times the largest answer in a few kilobytes, or without end."""
    server.will(script)
    tracemalloc.start()
    try:
        assert isinstance(await post(wire, server), OutcomeUnknown)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 6 * LARGEST_ANSWER


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (gzip.compress(b'{"a": 1}', mtime=0), "gzip"),
        (gzip.compress(b'{"a": 1}', mtime=0), " GZip "),
        (zlib.compress(b'{"a": 1}'), "deflate"),
        (b'{"a": 1}', "identity"),
        (b'{"a": 1}', ""),
    ],
)
async def test_a_common_encoding_is_undone(
    wire: Wire, server: RawServer, content: bytes, encoding: str
) -> None:
    server.will(answer(200, content, {"Content-Encoding": encoding}))
    outcome = await post(wire, server)
    assert isinstance(outcome, WireAnswer)
    assert outcome.body == b'{"a": 1}'


async def test_the_largest_answer_is_taken(wire: Wire, server: RawServer) -> None:
    server.will(answer(200, b"a" * LARGEST_ANSWER))
    outcome = await post(wire, server)
    assert isinstance(outcome, WireAnswer)
    assert len(outcome.body) == LARGEST_ANSWER


# --- what failed before anything was sent


async def test_a_refused_connection_was_never_sent(wire: Wire) -> None:
    outcome = await wire.send("POST", f"http://127.0.0.1:{closed_port()}/token", FORM, BODY)
    assert isinstance(outcome, NeverSent)
    assert outcome.cause.startswith("connection failed")


@pytest.mark.parametrize(
    "url",
    [
        "http://does-not-exist.invalid/token",
        f"http://{'a' * 64}.example/token",
        "ftp://127.0.0.1/token",
        "/token",
        "",
        "http://127.0.0.1/" + "a" * 70_000,
        "http://[::1/token",
        "http://exa\x00mple/token",
    ],
    ids=["no-such-name", "long-label", "scheme", "relative", "empty", "long", "v6", "NUL"],
)
async def test_a_url_that_leads_nowhere_was_never_sent(wire: Wire, url: str) -> None:
    outcome = await wire.send("GET", url, {})
    assert isinstance(outcome, NeverSent)


@pytest.mark.parametrize(
    "headers",
    [{"X-A": f"{CANARY}\r\nX-B: c"}, {"X-A": f"{CANARY}é"}, {"X A": "b"}, {"X-A\n": "b"}],
    ids=["crlf", "not-ascii", "name", "name-newline"],
)
async def test_a_header_that_cannot_be_written_was_never_sent(
    wire: Wire, server: RawServer, headers: dict[str, str]
) -> None:
    """150, 165: it stays here, and its value is not quoted."""
    outcome = await wire.send("GET", f"{server.origin}/", headers)
    assert isinstance(outcome, NeverSent)
    assert CANARY not in repr(outcome)
    assert server.received == []


async def test_a_token_too_long_for_a_url_is_told_and_not_quoted(
    wire: Wire, server: RawServer
) -> None:
    """50: where a provider takes parameters in a query, httpx2's limit is ours."""
    outcome = await wire.send("GET", f"{server.origin}/?fb_exchange_token={CANARY * 7000}", {})
    assert isinstance(outcome, NeverSent)
    assert CANARY not in repr(outcome)


async def test_a_connection_that_does_not_come_about_was_never_sent() -> None:
    """The deadline holds for connecting too; a full backlog never answers."""
    transport = StuckTransport()
    outcome = await Wire(transport, deadline=0.05).send("POST", "http://127.0.0.1/", {}, BODY)
    assert outcome == NeverSent(cause="no connection before the deadline")


class StuckTransport(httpx2.AsyncBaseTransport):
    """Never gets as far as sending."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await asyncio.Event().wait()
        raise AssertionError(request)


# --- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "raw server")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
async def tls_server(certificate: Path) -> AsyncIterator[RawServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    running = RawServer(context)
    await running.start()
    yield running
    await running.stop()


async def test_a_ca_file_is_trusted(tls_server: RawServer, certificate: Path) -> None:
    wire = Wire(make_transport(ca_file=str(certificate)))
    outcome = await post(wire, tls_server)
    await wire.aclose()
    assert isinstance(outcome, WireAnswer)
    assert tls_server.received[0].body == BODY


async def test_an_unknown_certificate_is_refused_before_sending(
    wire: Wire, tls_server: RawServer, monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    """160: never sent, no retry over http, and the environment cannot add a CA."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    environment_proof = Wire(make_transport())
    for sending in (wire, environment_proof):
        outcome = await post(sending, tls_server)
        assert isinstance(outcome, NeverSent)
        assert "certificate" in outcome.cause.lower()
    await environment_proof.aclose()
    assert tls_server.received == []


async def test_plain_http_on_a_tls_port_is_refused_before_sending(server: RawServer) -> None:
    server.before_reading = raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", then=hang_up)
    wire = Wire(make_transport())
    outcome = await wire.send("POST", server.origin.replace("http", "https"), FORM, BODY)
    await wire.aclose()
    assert isinstance(outcome, NeverSent)


def test_old_tls_is_not_spoken(certificate: Path) -> None:
    """160: TLS 1.2 at least, with and without a CA file of our own."""
    for transport in (make_transport(), make_transport(ca_file=str(certificate))):
        context = transport._pool._ssl_context
        assert context is not None
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


# --- proxies and the environment


async def test_proxies_and_netrc_of_the_environment_are_ignored(
    server: RawServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """160: an environment must not be able to read our credentials along the way."""
    capture = RawServer()
    await capture.start()
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, capture.origin)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    wire = Wire(make_transport())
    await post(wire, server)
    await wire.aclose()
    await capture.stop()
    assert capture.connections == 0
    assert server.received[0].header("Authorization") is None


async def test_a_configured_proxy_is_used(server: RawServer) -> None:
    wire = Wire(make_transport(proxy=server.origin.replace("://", "://user:pw@")))
    outcome = await wire.send("POST", "http://api.example/token", FORM, BODY)
    await wire.aclose()
    assert isinstance(outcome, WireAnswer)
    (request,) = server.received
    assert request.target == "http://api.example/token"
    assert request.header("Proxy-Authorization") == "Basic dXNlcjpwdw=="


@pytest.mark.parametrize(
    "script",
    [answer(407, b""), answer(502, b""), reset, hang_up, raw(b"SSH-2.0-x\r\n", then=hang_up)],
    ids=["407", "502", "reset", "hang-up", "not-http"],
)
async def test_what_fails_at_the_proxy_was_never_sent(server: RawServer, script: Script) -> None:
    """63: only the CONNECT request has left; the provider has heard nothing."""
    server.will(script)
    wire = Wire(make_transport(proxy=server.origin))
    outcome = await wire.send("POST", "https://api.example/token", FORM, BODY)
    await wire.aclose()
    assert isinstance(outcome, NeverSent)
    (request,) = server.received
    assert (request.method, request.target, request.body) == ("CONNECT", "api.example:443", b"")


async def test_a_proxy_that_never_answers(server: RawServer) -> None:
    server.will(silence)
    wire = Wire(make_transport(proxy=server.origin), deadline=0.2)
    outcome = await wire.send("POST", "https://api.example/token", FORM, BODY)
    await wire.aclose()
    assert isinstance(outcome, NeverSent)


# --- secrets


async def test_nothing_is_logged_or_shown(
    server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    """162, 165: not by us; and libraries are held at WARNING where we set up the logging."""
    from connector.log import quiet_libraries

    caplog.set_level(logging.DEBUG)
    quiet_libraries()
    server.will(answer(200, {"access_token": CANARY}, {"Location": CANARY}), *[s for _, s in LOST])
    wire = Wire(make_transport())
    outcomes = [
        await wire.send(
            "POST", f"{server.origin}/token?code={CANARY}", {"Authorization": CANARY}, BODY
        )
        for _ in range(len(LOST) + 1)
    ]
    await wire.aclose()
    assert len(server.received) == len(LOST) + 1
    assert CANARY not in caplog.text
    assert CANARY not in repr(outcomes)
    assert CANARY not in str(outcomes[0])


async def test_a_cancelled_exchange_closes_its_connection(wire: Wire, server: RawServer) -> None:
    arrived = asyncio.Event()
    hung_up = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        arrived.set()
        await exchange.until_closed()
        hung_up.set()

    server.will(wait)
    sending = asyncio.create_task(post(wire, server))
    await arrived.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await asyncio.wait_for(hung_up.wait(), 5)
