"""Apprise: what it is handed, and that it holds nobody up and shows nothing."""

import importlib.util
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from connector.errors import ConfigurationError
from connector.notices.apprise_url import AppriseChannel
from connector.notices.channel import Undelivered
from connector.secret import Secret

from .messages import NOW, a_message


class Service:
    """A server on loopback that Apprise's ``json://`` sends to."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        self.may_answer = threading.Event()
        self.may_answer.set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                service.may_answer.wait(30)
                service.received.append(json.loads(body))
                self.send_response(service.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self._server.server_port}/t0ken"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    running = Service()
    yield running
    running.close()


def channel(url: str, *, limit: float = 20.0) -> AppriseChannel:
    return AppriseChannel(
        name="apprise 1", url=Secret(url), source="config.toml", key="notify.urls[0]", limit=limit
    )


async def test_it_is_handed_title_text_and_severity(service: Service) -> None:
    await channel(service.url).send(a_message(), now=NOW)
    (received,) = service.received
    assert (received["title"], received["message"]) == (a_message().title, a_message().text)
    assert received["type"] == "failure"


async def test_what_the_service_refuses_is_told_without_the_url(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    service.status = 500
    with pytest.raises(Undelivered, match="did not take it") as raised:
        await channel(service.url).send(a_message(), now=NOW)
    assert "t0ken" not in str(raised.value)
    ours = [one for one in caplog.records if not one.name.startswith(("urllib3", "requests"))]
    assert "t0ken" not in "".join(one.getMessage() for one in ours)


async def test_one_that_takes_too_long_is_left_behind_and_not_joined(service: Service) -> None:
    service.may_answer.clear()
    slow = channel(service.url, limit=0.5)
    before = threading.active_count()
    with pytest.raises(Undelivered, match=r"took longer than 0\.5 s"):
        await slow.send(a_message(), now=NOW)
    with pytest.raises(Undelivered, match="has not come to an end"):
        await slow.send(a_message(), now=NOW)
    assert threading.active_count() <= before + 2, "ours, and the service's own"


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError) as raised:
        channel("json://127.0.0.1/t0ken")
    assert "pip install connector[notify]" in str(raised.value)
    assert "t0ken" not in str(raised.value)


def test_what_apprise_does_not_know_is_told_without_the_url() -> None:
    with pytest.raises(ConfigurationError, match=r"notify\.urls\[0\]: is no URL") as raised:
        channel("nosuch://t0ken")
    assert "t0ken" not in str(raised.value)
