"""Messages between a job's child process and the process that holds the store.

One JSON object a line, both ways, over a pair of sockets that only the two have. The order with
which a run begins may hold a destination's password: it travels here, never in arguments or in the
environment (CHECKLIST 175).

    parent → child   order · credential · refusal · leave · limit
    child → parent   credential · progress · log · leave · limit · request · records · result
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import UTC, date, datetime, time
from typing import Final, TypeVar, cast

from connector import errors
from connector.credential import Credential
from connector.oauth.token import AccessToken
from connector.providers.provider import Api, Rejection

Message = dict[str, object]
T = TypeVar("T")

#: A line longer than this is no message of ours.
LARGEST_MESSAGE: Final = 16 * 1024 * 1024
#: What a text in a message is cut to, where a user's function has made it (characters). Whoever
#: shows it hides the secrets in it first, and then shows far less, so that no part of one is left.
LONGEST_TEXT: Final = 1024 * 1024


def encode(message: Mapping[str, object]) -> bytes:
    """Write a message; dates and times, which a job's options may hold, as ISO 8601."""
    return json.dumps(dict(message), default=_plain).encode() + b"\n"


def _plain(value: object) -> str:
    if isinstance(value, (date, time)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def decode(line: bytes) -> Message:
    """Read a message."""
    return cast("Message", json.loads(line))


def dump_credential(credential: Credential) -> Message:
    """Write a credential for the child."""
    token, api = credential.token, credential.api
    return {
        "value": token.value,
        "token_type": token.token_type,
        "expires_at": token.expires_at.timestamp() if token.expires_at else None,
        "scope": token.scope,
        "headers": credential.headers,
        "params": credential.params,
        "base_url": api.base_url,
        "origins": list(api.origins),
        "rejections": [
            {"status": rule.status, "when": {path: list(v) for path, v in rule.when.items()}}
            for rule in api.rejections
        ],
    }


def load_credential(message: Message) -> Credential:
    """Read what `dump_credential` wrote."""
    expires_at = cast("float | None", message["expires_at"])
    rules = cast("list[dict[str, object]]", message["rejections"])
    return Credential(
        token=AccessToken(
            value=cast("str", message["value"]),
            token_type=cast("str", message["token_type"]),
            expires_at=None if expires_at is None else datetime.fromtimestamp(expires_at, UTC),
            scope=cast("str | None", message["scope"]),
        ),
        api=Api(
            base_url=cast("str | None", message["base_url"]),
            origins=tuple(cast("list[str]", message["origins"])),
            rejections=tuple(
                Rejection(
                    status=cast("int", rule["status"]),
                    when={
                        path: tuple(values)
                        for path, values in cast("dict[str, list[object]]", rule["when"]).items()
                    },
                )
                for rule in rules
            ),
        ),
        headers=cast("dict[str, str]", message["headers"]),
        params=cast("dict[str, str]", message["params"]),
    )


def dump_error(error: errors.ConnectorError) -> Message:
    """Write an error so that the child can raise it."""
    retry_at = getattr(error, "retry_at", None)
    return {
        "name": type(error).__name__,
        "account": getattr(error, "account", ""),
        "provider": getattr(error, "provider", ""),
        "reason": getattr(error, "reason", str(error)),
        "connect_url": getattr(error, "connect_url", None),
        "retry_at": retry_at.timestamp() if retry_at else None,
    }


def load_error(message: Message) -> errors.ConnectorError:
    """Read what `dump_error` wrote."""
    name, reason = cast("str", message["name"]), cast("str", message["reason"])
    account = cast("str", message["account"])
    if name == "ConsentRequired":
        return errors.ConsentRequired(account, reason, cast("str | None", message["connect_url"]))
    if name == "UnknownAccount":
        return errors.UnknownAccount(account)
    if name == "RegistrationRejected":
        return errors.RegistrationRejected(cast("str", message["provider"]), reason)
    if name == "VaultSealed":
        return errors.VaultSealed(reason)
    if name == "Refused":
        return errors.Refused(reason)
    retry_at = cast("float | None", message["retry_at"])
    return errors.TemporarilyUnavailable(
        reason, None if retry_at is None else datetime.fromtimestamp(retry_at, UTC)
    )


class ChildChannel:
    """The child's end: a thread reads, any thread writes; implements `credential.CredentialSource`.

    When the parent is gone there is nobody to work for, and nobody who would kill us: the process
    ends at once, whatever the user's function is doing.

    Args:
        connection: the child's socket.
        on_lost: ends the process.
    """

    def __init__(
        self, connection: socket.socket, on_lost: Callable[[], None] | None = None
    ) -> None:
        connection.set_inheritable(False)  # what the function starts has no business with it
        self._connection = connection
        self._on_lost = on_lost or end_process_group
        self._reader = connection.makefile("rb")
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Message]] = {}
        self._last_id = 0
        #: Is told, in the thread that listens, of messages that answer nothing.
        self.on_message: Callable[[Message], None] = lambda _message: None

    def receive_order(self) -> Message:
        """Wait for the order with which the run begins, then listen for answers."""
        line = self._reader.readline(LARGEST_MESSAGE)
        if not line:  # nobody waits for this process any more
            self._on_lost()
        order = decode(line)
        threading.Thread(target=self._listen, name="job channel", daemon=True).start()
        return order

    def send(self, message: Mapping[str, object]) -> None:
        """Send a message to the parent."""
        data = encode(message)
        with self._lock:
            self._connection.sendall(data)

    def abandon(self) -> None:
        """Let go of the socket, in a process that was forked off: it is none of its business."""
        if self._connection.fileno() != -1:  # else whoever forked it had let go of it already
            os.close(self._connection.detach())

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:
        """Ask for a credential and wait; see `credential.CredentialSource`."""
        return _credential(self._ask_credential(account, rejected).result())

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        """Ask for a credential; see `credential.CredentialSource`."""
        return _credential(await asyncio.wrap_future(self._ask_credential(account, rejected)))

    def ask(self, message: Mapping[str, object]) -> Future[Message]:
        """Send a message that is answered; give what will hold the answer."""
        future: Future[Message] = Future()
        with self._lock:
            self._last_id += 1
            number = self._last_id
            self._waiting[number] = future
        self.send({**message, "id": number})
        return future

    def _ask_credential(self, account: str, rejected: AccessToken | None) -> Future[Message]:
        value = rejected.value if rejected is not None else None
        return self.ask({"type": "credential", "account": account, "rejected": value})

    def _listen(self) -> None:
        with contextlib.suppress(ConnectionError):  # the parent has ended with messages unread
            self._receive()
        self._on_lost()

    def _receive(self) -> None:
        """Take messages until there will be none any more.

        Raises:
            ConnectionError: the parent has ended.
        """
        while line := self._reader.readline(LARGEST_MESSAGE):
            message = decode(line)
            if "id" not in message:
                self.on_message(message)
                continue
            with self._lock:
                future = self._waiting.pop(cast("int", message["id"]))
            if future.set_running_or_notify_cancel():  # else whoever asked has given up
                future.set_result(message)


def _credential(answer: Message) -> Credential:
    """Read the answer to who asked for a credential.

    Raises:
        ConnectorError: there is none.
    """
    body = cast("Message", answer["body"])
    if answer["type"] == "credential":
        return load_credential(body)
    raise load_error(body)


def end_process_group() -> None:
    """End this process, and what it has started where it leads a group of its own."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(os.EX_SOFTWARE)
