"""One request over a real connection: its credential, its answer, and what goes wrong."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from connector.credential import Credential
from connector.errors import OriginRefused
from connector.jobs.held_credentials import HeldCredentials
from connector.jobs.pull import sending
from connector.jobs.pull.failure import PullFailed
from connector.jobs.pull.sending import Sender, Unanswered, parse_body
from connector.oauth.token import AccessToken
from connector.providers.provider import Api
from connector.pulls.messages import Request
from tests.unit.raw_server import RawServer, answer, closed_port, hang_up, raw, reset, zipped


class Source:
    """Gives numbered tokens, one after another, as they are rejected."""

    def __init__(self, origin: str) -> None:
        self.api = Api(base_url=f"{origin}/v1/")
        self.asked: list[str | None] = []
        self.number = 1
        self.expires_at: datetime | None = None
        self.params: dict[str, str] = {}

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:
        raise NotImplementedError

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        assert account == "acme/ads"
        self.asked.append(None if rejected is None else rejected.value)
        if rejected is not None:
            self.number += 1
        token = AccessToken(value=f"token-{self.number}", expires_at=self.expires_at)
        return Credential(
            token=token,
            api=self.api,
            headers={"Authorization": f"Bearer {token.value}", "Accept": "application/x"},
            params=dict(self.params),
        )


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Sent:
    """A server, and a sender to it."""

    def __init__(self, server: RawServer, client: httpx2.Client) -> None:
        self.server = server
        self.source = Source(server.origin)
        self.time = Time()
        self.sender = Sender(client, "acme/ads", HeldCredentials(self.source, self.time))

    async def get(self, url: str = "items", **changes: object) -> sending.Reply:
        request = Request(url=url, **changes)  # type: ignore[arg-type]
        # it blocks, and the server is in this loop
        return await asyncio.to_thread(lambda: asyncio.run(self.sender.send(request)))


@pytest.fixture
async def sent() -> AsyncIterator[Sent]:
    server = RawServer()
    await server.start()
    with httpx2.Client(base_url=f"{server.origin}/v1/", timeout=5) as client:
        yield Sent(server, client)
    await server.stop()


class TestCredential:
    async def test_is_attached(self, sent: Sent) -> None:
        sent.source.params = {"proof": "p 1"}
        reply = await sent.get(params={"a": "b c"}, headers={"X-Mine": "1"})
        (request,) = sent.server.received
        assert request.query == [("a", "b c"), ("proof", "p 1")]
        assert request.header("Authorization") == "Bearer token-1"
        assert request.header("Accept") == "application/x"
        assert request.header("X-Mine") == "1"
        assert "proof" not in reply.url

    async def test_is_asked_for_again_after_a_second(self, sent: Sent) -> None:
        for moment in (0.0, 0.9, 1.0, 1.5):
            sent.time.now = moment
            await sent.get()
        assert sent.source.asked == [None, None]

    async def test_is_asked_for_again_once_it_has_expired(self, sent: Sent) -> None:
        sent.source.expires_at = datetime.now(UTC) - timedelta(seconds=1)
        await sent.get()
        await sent.get()
        assert sent.source.asked == [None, None]

    async def test_another_one_is_used_at_once(self, sent: Sent) -> None:
        reply = await sent.get()
        await sent.sender.refresh(reply.credential)
        await sent.get()
        assert sent.source.asked == [None, "token-1"]
        assert sent.server.received[1].header("Authorization") == "Bearer token-2"

    async def test_goes_to_no_other_origin(self, sent: Sent) -> None:
        with pytest.raises(OriginRefused):
            await sent.get(f"http://127.0.0.1:{closed_port()}/items")
        assert sent.server.received == []


class TestRequests:
    async def test_a_json_body(self, sent: Sent) -> None:
        await sent.get(method="POST", body={"query": {"a": [1]}})
        (request,) = sent.server.received
        assert json.loads(request.body) == {"query": {"a": [1]}}
        assert request.header("Content-Type") == "application/json"

    async def test_a_form(self, sent: Sent) -> None:
        await sent.get(method="POST", form={"a": "b&c"})
        assert sent.server.received[0].form == [("a", "b&c")]


class TestAnswers:
    async def test_headers_and_body(self, sent: Sent) -> None:
        sent.server.will(answer(body={"data": []}, headers={"X-Usage": "7"}))
        reply = await sent.get()
        assert (reply.status, reply.body, reply.headers["x-usage"]) == (200, {"data": []}, "7")

    async def test_a_packed_body(self, sent: Sent) -> None:
        sent.server.will(zipped(b'{"data": 1}'))
        assert (await sent.get()).body == {"data": 1}

    async def test_a_body_that_is_too_long(
        self, sent: Sent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sending, "LARGEST_BODY", 1 << 20)
        sent.server.will(zipped(b"[" + b" " * (2 << 20) + b"]"))
        with pytest.raises(PullFailed, match=r"/v1/items is longer than 1 MiB. Ask for smaller"):
            await sent.get()

    @pytest.mark.parametrize(
        ("script", "says"),
        [
            (hang_up, "the connection broke"),
            (reset, "the connection broke"),
            (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", hang_up), "connection broke"),
            (
                answer(body=b"no gzip at all", headers={"Content-Encoding": "gzip"}),
                "cannot be unpacked",
            ),
        ],
    )
    async def test_no_whole_answer(self, sent: Sent, script: object, says: str) -> None:
        sent.server.will(script)  # type: ignore[arg-type]
        with pytest.raises(Unanswered, match=says):
            await sent.get()

    async def test_nobody_is_there(self, sent: Sent) -> None:
        await sent.server.stop()
        with pytest.raises(Unanswered, match="cannot be reached"):
            await sent.get()

    @pytest.mark.parametrize(
        ("content", "body", "is_strict"),
        [
            (b'{"a": 1}', {"a": 1}, True),
            (b'"\\ud800"', "\ud800", False),
            (b'{"a": Infinity}', {"a": math.inf}, False),
            (b"[1e999]", [math.inf], False),
            (b"", None, False),
            (b"<html>", None, False),
            (b"[" * 100_000, None, False),
            (b"null", None, True),
        ],
    )
    def test_bodies(self, content: bytes, body: object, is_strict: bool) -> None:  # noqa: FBT001
        assert parse_body(content) == (body, is_strict)


class TestRedirects:
    async def test_within_the_origin_are_followed(self, sent: Sent) -> None:
        sent.server.will(answer(302, headers={"Location": "/v2/items?a=1"}), answer(body=[7]))
        reply = await sent.get()
        assert reply.body == [7]
        assert sent.server.received[1].target == "/v2/items?a=1"
        assert sent.server.received[1].header("Authorization") == "Bearer token-1"

    @pytest.mark.parametrize("location", ["http://127.0.0.1:1/items", "//x.example/", "ftp://x/"])
    async def test_to_another_origin_are_not(self, sent: Sent, location: str) -> None:
        sent.server.will(answer(307, headers={"Location": location}))
        with pytest.raises(PullFailed, match="GET items is redirected to another origin"):
            await sent.get()
        assert len(sent.server.received) == 1

    async def test_of_a_post_are_not(self, sent: Sent) -> None:
        sent.server.will(answer(308, headers={"Location": "/v2/items"}))
        with pytest.raises(PullFailed, match="POST items is redirected"):
            await sent.get(method="POST", body={})

    async def test_without_end_are_not(self, sent: Sent) -> None:
        sent.server.will(answer(302, headers={"Location": "/v1/items"}))
        with pytest.raises(PullFailed, match="without end"):
            await asyncio.wait_for(sent.get(), 10)
        assert len(sent.server.received) <= 5
