"""Messages between a run and the process that has the vault."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time

import pytest

from connector import errors
from connector.credential import Credential
from connector.jobs.channel import (
    ChildChannel,
    decode,
    dump_credential,
    dump_error,
    encode,
    load_credential,
    load_error,
)
from connector.oauth.token import AccessToken
from connector.providers.provider import Api, Rejection

END = datetime(2027, 1, 15, 9, tzinfo=UTC)
CREDENTIAL = Credential(
    token=AccessToken(value="the token", token_type="Bearer", expires_at=END, scope="ads_read"),
    api=Api(
        base_url="https://api.example/v1/",
        origins=("https://api.example",),
        rejections=(Rejection(status=401), Rejection(status=400, when={"error.code": (190, 102)})),
    ),
    headers={"Authorization": "Bearer the token", "X": "1"},
    params={"proof": "abc"},
)


def test_a_message_is_one_line_that_reads_back() -> None:
    message = {"text": "two\nlines \u2028", "list": [1, None, {"a": True}]}
    data = encode(message)
    assert data.count(b"\n") == 1
    assert decode(data) == message


def test_dates_of_a_configuration_are_written() -> None:
    options = {"options": {"since": date(2027, 1, 15), "at": END, "time": time(8, 30)}}
    assert decode(encode(options)) == {
        "options": {"since": "2027-01-15", "at": "2027-01-15T09:00:00+00:00", "time": "08:30:00"}
    }
    with pytest.raises(TypeError):
        encode({"x": object()})


class TestCredential:
    def test_arrives_as_it_was(self) -> None:
        assert load_credential(json.loads(json.dumps(dump_credential(CREDENTIAL)))) == CREDENTIAL

    def test_of_unknown_end_and_scope(self) -> None:
        plain = Credential(token=AccessToken(value="t"), api=Api(), headers={}, params={})
        assert load_credential(json.loads(json.dumps(dump_credential(plain)))) == plain


class TestError:
    @pytest.mark.parametrize(
        "error",
        [
            errors.ConsentRequired("acme/ads", "it ended", "http://127.0.0.1/connect/x"),
            errors.UnknownAccount("acme/ads"),
            errors.RegistrationRejected("acme", "invalid_client"),
            errors.VaultSealed("the key is wrong"),
            errors.Refused("not for you"),
            errors.TemporarilyUnavailable("HTTP 503", END),
            errors.TemporarilyUnavailable("HTTP 503"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_arrives_as_it_was(self, error: errors.ConnectorError) -> None:
        loaded = load_error(json.loads(json.dumps(dump_error(error))))
        assert type(loaded) is type(error)
        assert str(loaded) == str(error)

    def test_any_other_is_temporary(self) -> None:
        error = errors.ConfigurationError([errors.Problem("config.toml", "a.b", "is missing")])
        loaded = load_error(json.loads(json.dumps(dump_error(error))))
        assert isinstance(loaded, errors.TemporarilyUnavailable)
        assert "a.b" in str(loaded)


class Parent:
    """The parent's end of a channel, worked by hand."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.reader = self.socket.makefile("rb")
        self.lost = threading.Event()
        self.child = ChildChannel(theirs, on_lost=self.lost.set)
        self.theirs = theirs

    def receive(self) -> dict[str, object]:
        return decode(self.reader.readline())

    def close(self) -> None:
        self.reader.close()
        self.socket.close()


@pytest.fixture
def parent() -> Iterator[Parent]:
    made = Parent()
    yield made
    made.close()
    made.lost.wait(10)
    made.child._reader.close()
    made.theirs.close()


class TestChild:
    def test_takes_its_order_and_asks(self, parent: Parent) -> None:
        parent.socket.sendall(encode({"type": "order", "run": "a:b"}))
        assert parent.child.receive_order()["run"] == "a:b"
        answers: list[Credential] = []
        token = AccessToken(value="old")
        asking = threading.Thread(
            target=lambda: answers.append(parent.child.credential_now("acme/ads", token))
        )
        asking.start()
        asked = parent.receive()
        assert asked == {"type": "credential", "id": 1, "account": "acme/ads", "rejected": "old"}
        body = dump_credential(CREDENTIAL)
        parent.socket.sendall(encode({"type": "credential", "id": 1, "body": body}))
        asking.join()
        assert answers == [CREDENTIAL]

    def test_ends_with_a_parent_that_has_left_messages_unread(self, parent: Parent) -> None:
        parent.socket.sendall(encode({"type": "order"}))
        parent.child.receive_order()
        parent.child.send({"type": "progress"})
        parent.close()
        assert parent.lost.wait(10)

    async def test_answers_find_who_asked(self, parent: Parent) -> None:
        parent.socket.sendall(encode({"type": "order"}))
        parent.child.receive_order()
        first = asyncio.create_task(parent.child.credential("acme/ads", None))
        second = asyncio.create_task(parent.child.credential("acme/ads", None))
        third = asyncio.create_task(parent.child.credential("acme/ads", None))
        numbers = [(await asyncio.to_thread(parent.receive))["id"] for _ in range(3)]
        assert numbers == [1, 2, 3]
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        refusal = dump_error(errors.TemporarilyUnavailable("HTTP 503"))
        body = dump_credential(CREDENTIAL)
        parent.socket.sendall(encode({"type": "refusal", "id": 3, "body": refusal}))
        parent.socket.sendall(encode({"type": "credential", "id": 1, "body": body}))
        parent.socket.sendall(encode({"type": "credential", "id": 2, "body": body}))
        assert await second == CREDENTIAL
        with pytest.raises(errors.TemporarilyUnavailable):
            await third

    def test_ends_when_the_parent_is_gone(self, parent: Parent) -> None:
        parent.socket.sendall(encode({"type": "order"}))
        parent.child.receive_order()
        assert not parent.lost.is_set()
        parent.socket.shutdown(socket.SHUT_RDWR)
        assert parent.lost.wait(10)

    def test_what_the_function_starts_does_not_get_the_socket(self, parent: Parent) -> None:
        assert not parent.theirs.get_inheritable()
        parent.lost.set()

    def test_a_process_that_was_forked_off_lets_go_of_it(self) -> None:
        ours, theirs = socket.socketpair()
        channel = ChildChannel(theirs, on_lost=lambda: None)
        channel.abandon()
        assert theirs.fileno() == -1
        channel.abandon()  # in a process that it has forked in turn
        ours.close()
