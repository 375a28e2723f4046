"""The child process of a run: opens the destination, pulls, and reports how it ended.

Started as ``python -P -m connector.jobs.child FD``, or forked (`fork_template`). It talks to its
parent only over the channel, and knows no vault, no client secret and no refresh token.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, cast

from connector.errors import ConnectorError
from connector.jobs.channel import LONGEST_TEXT, ChildChannel, Message
from connector.jobs.context import JobContext, JobWindow
from connector.jobs.destinations.destination import DestinationFailed, open_destination
from connector.jobs.destinations.records import UnusableRecord
from connector.jobs.destinations.rejecting import RecordsRejected
from connector.jobs.destinations.stream import Overtaken, State, Stream
from connector.jobs.function import FunctionPull
from connector.jobs.held_credentials import HeldCredentials
from connector.jobs.preview import Enough, PreviewWriter
from connector.jobs.pull.failure import PullFailed, Unusable
from connector.jobs.user_module import describe_failure
from connector.jobs.writing import Writer
from connector.log import quiet_libraries


def open_writer(order: Message, channel: ChildChannel) -> Writer:
    """Open the destination of an order.

    Raises:
        DestinationFailed: it cannot be opened.
        Overtaken: the run was taken over by another process.
    """
    key = tuple(cast("list[str]", order["key"]))
    if order["preview"]:
        begin = State(cursor=order["since"]) if order["request"] is None else State()
        return PreviewWriter(cast("int", order["preview"]), channel.send, key, begin)
    stream = Stream(
        job=cast("str", order["job"]),
        account=cast("str", order["account"]),
        account_id=cast("str", order["account_id"]),
        lane=cast("str", order["lane"]),
        run_id=cast("str", order["run_id"]),
        attempt=cast("int", order["attempt"]),
    )
    destination = open_destination(
        cast("str", order["destination"]),
        table=cast("str", order["table"]),
        key=key if order["mode"] == "merge" else (),
        stream=stream,
        columns=cast("Mapping[str, str]", order["columns"]),
    )
    since = order["since"]
    # of a declared pull it is a begin, and no cursor
    is_anew = since is not None and not stream.lane and order["request"] is None
    return Writer(
        destination,
        channel.send,
        State(cursor=since) if is_anew else None,
        key=key,
        max_rejected=cast("int", order["max_rejected"]),
    )


async def pull(order: Message, writer: Writer, channel: ChildChannel) -> None:
    """Do what an order says."""
    if order["request"] is not None:
        from connector.jobs.pull.declared import run_declared

        await run_declared(order, writer, channel, make_logger(channel))
        return

    def tell(done: float, text: str) -> None:
        writer.place = {"done": done, "text": text}

    log = make_logger(channel)
    since, until = cast("str | None", order["since"]), cast("str | None", order["until"])
    is_window = bool(order["lane"]) and since is not None
    context = JobContext(
        job=cast("str", order["job"]),
        account=cast("str", order["account"]),
        run_id=cast("str", order["run_id"]),
        cursor=writer.state.cursor,
        checkpoint=own_checkpoint(writer.state.checkpoint, log),
        window=JobWindow(since=str(since), until=until) if is_window else None,
        due_at=cast("float | None", order["due_at"]),
        options=cast("Mapping[str, object]", order["options"]),
        logger=log,
        _tell=tell,
    )
    function = FunctionPull(context, writer, tuple(cast("list[str]", order["key"])))
    folder = Path(cast("str", order["folder"]))
    await function.run(cast("str", order["run"]), folder, order, HeldCredentials(channel))


def own_checkpoint(checkpoint: object, log: logging.Logger) -> object:
    """Give the checkpoint that a function begins at: not that of a pull whose place it takes.

    Args:
        checkpoint: as it was committed.
        log: of the run.
    """
    from connector.jobs.pull.place import is_place

    if not is_place(checkpoint):
        return checkpoint
    log.warning("the run begins without the checkpoint that is there: it is a declared pull's")
    return None


class _ChannelHandler(logging.Handler):
    """Sends the log lines of a user's function to the parent."""

    def __init__(self, channel: ChildChannel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)[:LONGEST_TEXT]
        except Exception:  # noqa: BLE001 - a user's log line does not end a user's run
            self.handleError(record)
            return
        self._channel.send({"type": "log", "level": record.levelno, "message": text})


def make_logger(channel: ChildChannel) -> logging.Logger:
    """Make the logger of a run: its lines go to the parent."""
    quiet_libraries()
    logger = logging.getLogger("job")
    logger.setLevel(logging.DEBUG)
    logger.handlers[:] = [_ChannelHandler(channel)]
    logger.propagate = False
    return logger


def explain(error: BaseException, folder: str) -> tuple[str, str]:
    """Give the kind of a failure and its explanation; a user's bug with the line it happened on."""
    if isinstance(error, ConnectorError):
        return type(error).__name__, str(error)
    if isinstance(error, PullFailed):
        return "Unusable" if isinstance(error, Unusable) else "Pull", str(error)
    if isinstance(error, UnusableRecord):
        return "UnusableRecord", str(error)
    if isinstance(error, RecordsRejected):
        return "Rejected", str(error)
    if isinstance(error, DestinationFailed):
        return "Destination", str(error)
    if isinstance(error, Overtaken):
        return "Overtaken", str(error)
    return "Callable", describe_failure(error, folder)


def settle(order: Message) -> None:
    """Have the environment and the working directory that an order says."""
    os.environ.clear()
    os.environ.update(cast("dict[str, str]", order["environment"]))
    time.tzset()
    os.chdir(cast("str", order["folder"]))


def main(descriptor: int) -> None:
    """Run one order and report its result.

    Args:
        descriptor: of the channel.
    """
    channel = ChildChannel(socket.socket(fileno=descriptor))
    os.register_at_fork(after_in_child=channel.abandon)
    order = channel.receive_order()
    process = os.getpid()
    writer: Writer | None = None
    result: Message = {"type": "result", "kind": None, "error": None}
    result |= {"records": 0, "batches": 0, "cursor": None}
    try:
        settle(order)
        writer = open_writer(order, channel)
        with contextlib.suppress(Enough):
            asyncio.run(pull(order, writer, channel))
    except BaseException as error:  # noqa: BLE001 - whatever a user's function raises ends the run
        if os.getpid() != process:
            _leave_fork(error)
        result["kind"], result["error"] = explain(error, cast("str", order["folder"]))
    if writer is not None:
        result |= writer.committed()
        try:
            writer.close()
        except DestinationFailed as error:  # what was committed stays so: it is passed on later
            if result["kind"] is None:
                result["kind"], result["error"] = explain(error, cast("str", order["folder"]))
    channel.send(result)


def _leave_fork(error: BaseException) -> NoReturn:
    """End a process that a function has forked off and not ended: the run is its parent's.

    Nothing is closed: what is open belongs to the run.
    """
    status = error.code if isinstance(error, SystemExit) else os.EX_SOFTWARE
    if not isinstance(error, SystemExit):
        text = describe_failure(error, "")
        sys.stderr.write(f"a process that was forked off came back into its run: {text}\n")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    main(int(sys.argv[1]))
