"""Signed requests, as Standard Webhooks has it: another implementation verifies them."""

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from connector.errors import ConfigurationError
from connector.notices.channel import Undelivered
from connector.notices.webhook import WebhookChannel, read_key, sign
from connector.oauth.wire import Wire
from connector.secret import Secret, SecretReference

from .messages import a_message

KEYS = (b"n" * 32, b"o" * 24)
Answer = Callable[[httpx2.Request], httpx2.Response]


def whsec(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def response(status: int, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(b""))


async def sent(answer: Answer | None = None, keys: tuple[bytes, ...] = KEYS) -> httpx2.Request:
    """Send a message, and give the request."""
    requests: list[httpx2.Request] = []

    def take(request: httpx2.Request) -> httpx2.Response:
        requests.append(request)
        return answer(request) if answer else response(204)

    channel = WebhookChannel(
        name="webhook 1",
        url=Secret("https://hooks.example/t0ken"),
        keys=keys,
        wire=Wire(httpx2.MockTransport(take)),
    )
    await channel.send(a_message(), now=time.time())
    (request,) = requests
    return request


@pytest.mark.parametrize("key", KEYS)
async def test_each_secret_verifies(key: bytes) -> None:
    request = await sent()
    assert Webhook(whsec(key)).verify(request.content, dict(request.headers)) == a_message().body
    assert request.headers["webhook-id"] == a_message().id
    assert request.headers["content-type"] == "application/json"


async def test_another_secret_body_or_id_does_not() -> None:
    request = await sent()
    headers = dict(request.headers)
    good = Webhook(whsec(KEYS[0]))
    for webhook, body, changed in (
        (Webhook(whsec(b"x" * 32)), request.content, headers),
        (good, request.content + b" ", headers),
        (good, request.content, headers | {"webhook-id": "another"}),
    ):
        with pytest.raises(WebhookVerificationError):
            webhook.verify(body, changed)


def test_the_example_of_the_specification() -> None:
    """The one in the reference libraries' tests."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [100, 199, 302, 400, 410, 500, 503])
async def test_another_status_is_no_delivery(status: int) -> None:
    def answer(_request: httpx2.Request) -> httpx2.Response:
        return response(status, location="https://elsewhere.example/")

    with pytest.raises(Undelivered, match=f"HTTP {status}"):
        await sent(answer)


async def test_a_failure_does_not_show_the_address() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError(f"cannot reach {request.url}")

    with pytest.raises(Undelivered) as raised:
        await sent(answer)
    assert "t0ken" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    ["", "a secret", "whsec_", "whsec_c2hvcnQ=", "whsec_!!", base64.b64encode(KEYS[0]).decode()],
)
def test_what_is_no_secret_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        read_key(reference(tmp_path))
    assert "notify.webhooks[0].secret" in str(raised.value)
    assert len(text) < 7 or text not in str(raised.value)


def test_a_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(whsec(KEYS[0]) + "\n")
    assert read_key(reference(tmp_path)) == KEYS[0]


def reference(folder: Path) -> Any:
    return SecretReference(
        kind="file",
        name="secret",
        source="config.toml",
        key="notify.webhooks[0].secret",
        folder=folder,
    )
