"""What a job's child process says, line by line, in our log and in its own.

However much it says, the process that listens goes on with its other work: it takes a few lines at
a time, reads a flood slowly, and writes down so many lines in a time and no more.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

logger = logging.getLogger(__name__)

#: What is shown of a line.
LONGEST_LINE: Final = 4000
#: A longer line is passed over whole: a part of it might begin or end within a token.
LARGEST_LINE: Final = 1024 * 1024
#: So much is read at once, and held while it is written down (bytes).
CHUNK: Final = 64 * 1024
#: After the child has ended, whoever else holds its pipes is listened to this long (seconds).
DRAIN_TIME: Final = 1.0
#: Of one run's lines so many are in our log at once, and so many in each second from there on: a
#: function that prints without end fills no disk. Its own log keeps the first and the newest.
MOST_AT_ONCE: Final = 1000
MOST_A_SECOND: Final = 100.0
#: Others have their turn after so many lines: a line takes some 10 µs, or 30 where it is logged.
STRIDE: Final = 100
#: Whoever says more than is written down waits so long after each stride (seconds): a processor is
#: not kept busy by what nobody reads.
PAUSE: Final = 0.005


class Lines:
    """Takes the lines of a run.

    Args:
        mask: hides secrets in a line.
        fields: of each log line.
        on_line: told of each line: the name of its stream or its level, and the text.
        monotonic: gives seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        mask: Callable[[str], str],
        fields: Mapping[str, object],
        on_line: Callable[[str, str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mask = mask
        self._fields = dict(fields)
        self._on_line = on_line
        self._monotonic = monotonic
        self._places = float(MOST_AT_ONCE)
        self._counted_at = monotonic()
        self._left_out = 0
        self._in_stride = 0
        self.is_ending = False  # its process is gone: nobody has to be slowed down

    def take(
        self, text: str, fields: Mapping[str, object], *, kind: str, level: int = logging.INFO
    ) -> None:
        """Take a line.

        Args:
            text: it, with its secrets.
            fields: in our log, besides those of the run: the action, and more.
            kind: the name of its stream, or its level.
            level: in our log.
        """
        shown = self._mask(text)[:LONGEST_LINE]
        if self._has_place():
            self.tell_left_out()
            logger.log(level, shown, extra={"action": fields["action"], **fields, **self._fields})
        else:
            self._left_out += 1
        self._on_line(kind, shown)

    def tell_left_out(self) -> None:
        """Say how many lines our log does not have, where there are any."""
        if self._left_out:
            message = f"{self._left_out} lines are left out, for they came too fast"
            self._left_out = 0
            logger.warning(message, extra={"action": "job.lines_left_out", **self._fields})

    async def rest(self) -> None:
        """Let others have their turn, where it is time; to be called after each line."""
        self._in_stride += 1
        if self._in_stride >= STRIDE:
            self._in_stride = 0
            await asyncio.sleep(PAUSE if self._left_out and not self.is_ending else 0)

    def _has_place(self) -> bool:
        now = self._monotonic()
        come = (now - self._counted_at) * MOST_A_SECOND
        self._counted_at = now
        # where lines are left out, those to come are let in by the hundred: one now and then
        # between the marks of what is missing tells nothing
        self._places = min(self._places + come, float(MOST_AT_ONCE))
        if self._places < (MOST_A_SECOND if self._left_out else 1.0):
            return False
        self._places -= 1.0
        return True


class Output:
    """Takes what is written to its pipes.

    Args:
        lines: take it, line by line.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._tasks: list[asyncio.Task[None]] = []
        self._transports: list[asyncio.BaseTransport] = []

    async def pipe(self, name: str) -> int:
        """Open a pipe and take what comes through it; give the end to write to.

        Args:
            name: of the stream.
        """
        ours, theirs = os.pipe()
        reader = asyncio.StreamReader(limit=CHUNK)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
        )
        self._transports.append(transport)
        self._tasks.append(asyncio.create_task(self._take(reader, name)))
        return theirs

    async def aclose(self) -> None:
        """Take what is left and close the pipes."""
        self._lines.is_ending = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_TIME)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in self._transports:
            transport.close()
        self._lines.tell_left_out()

    async def _take(self, reader: asyncio.StreamReader, name: str) -> None:
        rest = bytearray()  # of a line that has not ended
        is_too_long = False
        while chunk := await reader.read(CHUNK):
            *ends, begin = chunk.split(b"\n")
            for end in ends:
                self._take_line(bytes(rest) + end, name, is_too_long=is_too_long)
                rest.clear()
                is_too_long = False
                await self._lines.rest()
            rest += begin
            if len(rest) > LARGEST_LINE:
                rest.clear()
                is_too_long = True
        if rest or is_too_long:
            self._take_line(bytes(rest), name, is_too_long=is_too_long)

    def _take_line(self, line: bytes, name: str, *, is_too_long: bool) -> None:
        is_too_long = is_too_long or len(line) > LARGEST_LINE
        text = "(a line that is too long)" if is_too_long else line.decode("utf-8", "replace")
        self._lines.take(text.rstrip(), {"action": "job.output", "stream": name}, kind=name)
