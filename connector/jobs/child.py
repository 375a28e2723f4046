"""The child process of a run: imports the user's function, calls it, writes what it yields.

Started as ``python -P -m connector.jobs.child FD``. It talks to its parent only over the channel,
and knows no vault, no client secret and no refresh token.
"""

import asyncio
import contextlib
import inspect
import json
import logging
import os
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Final, cast

from connector.errors import ConnectorError
from connector.jobs.channel import ChildChannel, Message
from connector.jobs.context import JobContext
from connector.jobs.cursor import UNMOVED
from connector.jobs.destination import Destination, open_destination
from connector.jobs.records import UnusableRecord, take_record
from connector.jobs.user_module import describe_failure, load_function
from connector.log import quiet_libraries
from connector.resource import make_auth

#: Records that are yielded one by one are committed in batches of this size.
BATCH_SIZE: Final = 1000
#: A request of a job may take this long (seconds) unless the function says otherwise.
REQUEST_TIMEOUT: Final = 60.0


class DestinationFailed(Exception):
    """Records could not be written; nothing of the batch was."""


class Pull:
    """One run in this process.

    Args:
        order: what to run.
        channel: to the parent.

    Raises:
        DestinationFailed: the destination cannot be opened.
    """

    def __init__(self, order: Message, channel: ChildChannel) -> None:
        self._order = order
        self._channel = channel
        self._key = tuple(cast("list[str]", order["key"]))
        with _destination_failures():
            self._destination: Destination = open_destination(
                cast("str", order["destination"]),
                table=cast("str", order["table"]),
                key=self._key,
                job=cast("str", order["job"]),
                account=cast("str", order["account"]),
                account_id=cast("str", order["account_id"]),
            )
            cursor = self._destination.cursor()
        since = order["since"]
        self.context = JobContext(
            job=cast("str", order["job"]),
            account=cast("str", order["account"]),
            run_id=cast("str", order["run_id"]),
            cursor=cursor if since is None else since,
            options=cast("Mapping[str, object]", order["options"]),
            logger=_logger(channel),
        )
        self._committed_cursor = _cursor_text(self.context.cursor)
        self._pending: list[Mapping[str, object]] = []
        self.records = 0
        self.batches = 0

    async def run(self) -> None:
        """Call the function and write what it yields."""
        import httpx2  # 100 ms; the destination is open by now

        function = load_function(
            cast("str", self._order["run"]), cast("str", self._order["folder"])
        )
        account = self.context.account
        auth = make_auth(account, self._channel)
        base_url = cast("str", self._order["base_url"] or "")
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            async with httpx2.AsyncClient(
                auth=auth, base_url=base_url, timeout=REQUEST_TIMEOUT
            ) as api:
                await self._take(function(api, self.context))
        else:
            with httpx2.Client(auth=auth, base_url=base_url, timeout=REQUEST_TIMEOUT) as api:
                await self._take(function(api, self.context))
        self._commit()

    def close(self) -> None:
        """Close the destination."""
        self._destination.close()

    async def _take(self, result: object) -> None:
        """Take records from whatever the function gives: a generator, a list, or nothing."""
        if inspect.isawaitable(result):
            result = await result
        if result is None:
            return
        if isinstance(result, AsyncIterator):
            async for item in result:
                self._add(item)
        elif isinstance(result, Iterable) and not isinstance(result, (str, bytes, Mapping)):
            for item in result:
                self._add(item)
        else:
            raise UnusableRecord(f"the function gave {type(result).__name__}, not records")

    def _add(self, item: object) -> None:
        """Take one record, or a batch of them, which is committed at once."""
        if isinstance(item, Mapping):
            self._pending.append(self._taken(item))
            if len(self._pending) >= BATCH_SIZE:
                self._commit()
            return
        if not isinstance(item, Iterable) or isinstance(item, (str, bytes)):
            raise UnusableRecord(f"the function yielded {type(item).__name__}, not a record")
        self._pending.extend(self._taken(record) for record in item)
        self._commit()

    def _taken(self, record: object) -> Mapping[str, object]:
        return take_record(record, self._key, self.records + len(self._pending) + 1)

    def _commit(self) -> None:
        cursor = _cursor_text(self.context.cursor)  # as it is now: it may be changed in place
        is_moved = cursor != self._committed_cursor
        if not self._pending and not is_moved:
            return
        with _destination_failures():
            self._destination.commit(self._pending, self.context.cursor if is_moved else UNMOVED)
        self._committed_cursor = cursor
        self.records += len(self._pending)
        self.batches += 1
        self._pending = []
        self._channel.send({"type": "progress", **self.committed()})

    def committed(self) -> Message:
        """Give what has been committed so far."""
        return {
            "records": self.records,
            "batches": self.batches,
            "cursor": json.loads(self._committed_cursor),
        }


class _ChannelHandler(logging.Handler):
    """Sends the log lines of a user's function to the parent."""

    def __init__(self, channel: ChildChannel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except (TypeError, ValueError):  # a user's log line does not end a user's run
            self.handleError(record)
            return
        self._channel.send({"type": "log", "level": record.levelno, "message": text})


def _logger(channel: ChildChannel) -> logging.Logger:
    quiet_libraries()
    logger = logging.getLogger("job")
    logger.setLevel(logging.DEBUG)
    logger.handlers[:] = [_ChannelHandler(channel)]
    logger.propagate = False
    return logger


@contextlib.contextmanager
def _destination_failures() -> Iterator[None]:
    """Tell failures of the destination from those of the user's function."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise DestinationFailed(f"{type(error).__name__}: {error}") from error


def _explain(error: Exception, folder: str) -> tuple[str, str]:
    """Give the kind of a failure and its explanation; a user's bug with the line it happened on."""
    if isinstance(error, ConnectorError):
        return type(error).__name__, str(error)
    if isinstance(error, UnusableRecord):
        return "UnusableRecord", str(error)
    if isinstance(error, DestinationFailed):
        return "Destination", str(error)
    return "Callable", describe_failure(error, folder)


def _cursor_text(cursor: object) -> str:
    """Write a cursor as JSON, to tell whether it has moved.

    Raises:
        UnusableRecord: it has no such form.
    """
    try:
        return json.dumps(cursor, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UnusableRecord(f"the cursor cannot be written as JSON: {error}") from None


def main() -> None:
    """Run one order and report its result."""
    channel = ChildChannel(socket.socket(fileno=int(sys.argv[1])))
    os.register_at_fork(after_in_child=channel.abandon)
    order = channel.receive_order()
    pull: Pull | None = None
    result: Message = {"type": "result", "kind": None, "error": None}
    result |= {"records": 0, "batches": 0, "cursor": None}
    try:
        pull = Pull(order, channel)
        asyncio.run(pull.run())
    except Exception as error:  # noqa: BLE001 - whatever a user's function raises ends the run
        result["kind"], result["error"] = _explain(error, cast("str", order["folder"]))
    if pull is not None:
        result |= pull.committed()
        pull.close()
    channel.send(result)


if __name__ == "__main__":
    main()
