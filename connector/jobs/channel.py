"""Messages between a job's child process and the process that holds the store.

One JSON object a line, both ways, over a pair of sockets that only the two have. The order with
which a run begins may hold a destination's password: it travels here, never in arguments or in the
environment (CHECKLIST 175).

    parent → child   order · credential · refusal
    child → parent   credential · progress · log · result
"""

import asyncio
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
        self._waiting: dict[int, Future[Credential]] = {}
        self._last_id = 0

    def receive_order(self) -> Message:
        """Wait for the order with which the run begins, then listen for answers."""
        order = decode(self._reader.readline(LARGEST_MESSAGE))
        threading.Thread(target=self._listen, name="job channel", daemon=True).start()
        return order

    def send(self, message: Mapping[str, object]) -> None:
        """Send a message to the parent."""
        data = encode(message)
        with self._lock:
            self._connection.sendall(data)

    def abandon(self) -> None:
        """Let go of the socket, in a process that was forked off: it is none of its business."""
        os.close(self._connection.detach())

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:
        """Ask for a credential and wait; see `credential.CredentialSource`."""
        return self._ask(account, rejected).result()

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        """Ask for a credential; see `credential.CredentialSource`."""
        return await asyncio.wrap_future(self._ask(account, rejected))

    def _ask(self, account: str, rejected: AccessToken | None) -> Future[Credential]:
        future: Future[Credential] = Future()
        with self._lock:
            self._last_id += 1
            number = self._last_id
            self._waiting[number] = future
        value = rejected.value if rejected is not None else None
        self.send({"type": "credential", "id": number, "account": account, "rejected": value})
        return future

    def _listen(self) -> None:
        while line := self._reader.readline(LARGEST_MESSAGE):
            message = decode(line)
            with self._lock:
                future = self._waiting.pop(cast("int", message["id"]))
            if not future.set_running_or_notify_cancel():
                continue  # whoever asked has given up
            body = cast("Message", message["body"])
            if message["type"] == "credential":
                future.set_result(load_credential(body))
            else:
                future.set_exception(load_error(body))
        self._on_lost()


def end_process_group() -> None:
    """End this process, and what it has started where it leads a group of its own."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(os.EX_SOFTWARE)
