"""What a job's child process prints, line by line, in our log."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Final

logger = logging.getLogger(__name__)

#: What is shown of a line.
LONGEST_LINE: Final = 4000
#: A longer line is passed over whole: a part of it might begin or end within a token.
LARGEST_LINE: Final = 1024 * 1024
#: After the child has ended, whoever else holds its pipes is listened to this long (seconds).
DRAIN_TIME: Final = 1.0


class Output:
    """Logs what is written to its pipes.

    Args:
        mask: hides secrets in a line.
        fields: of each log line.
    """

    def __init__(self, mask: Callable[[str], str], fields: Mapping[str, object]) -> None:
        self._mask = mask
        self._fields = dict(fields)
        self._tasks: list[asyncio.Task[None]] = []
        self._transports: list[asyncio.BaseTransport] = []

    async def pipe(self, name: str) -> int:
        """Open a pipe and log what comes through it; give the end to write to.

        Args:
            name: of the stream, for the log.
        """
        ours, theirs = os.pipe()
        reader = asyncio.StreamReader(limit=LARGEST_LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
        )
        self._transports.append(transport)
        self._tasks.append(asyncio.create_task(self._log(reader, name)))
        return theirs

    async def aclose(self) -> None:
        """Log what is left and close the pipes."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=DRAIN_TIME)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for transport in self._transports:
            transport.close()

    async def _log(self, reader: asyncio.StreamReader, name: str) -> None:
        is_rest = False  # of a line that was too long
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                is_rest = True
                continue
            if not line:
                return
            text = "(a line that is too long)" if is_rest else line.decode("utf-8", "replace")
            is_rest = False
            shown = self._mask(text.rstrip())[:LONGEST_LINE]
            logger.info(shown, extra={"action": "job.output", "stream": name, **self._fields})
