"""Runs a command's coroutine with the objects that it needs, and closes them whatever happens."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from connector.cli.core_dumps import forbid_core_dumps
from connector.cli.options import config_path, is_debugging

if TYPE_CHECKING:
    from connector.runtime import Runtime
    from connector.settings import Settings

T = TypeVar("T")

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
#: A vault opens in a fraction of this; a seal that asks a person may take for ever.
OPENING_TIME: Final = 3.0


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; SIGTERM ends it as Ctrl-C does, with everything closed.

    A further signal does not cut off what the first one lets come to its end: the answer to a
    refresh may hold the only copy of a new refresh token.
    """

    async def guarded() -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we are in one
        stop = _Stop(task)
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)
        try:
            return await work
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


class _Stop:
    """What SIGINT and SIGTERM do: the first one cancels, the second one is told why it waits.

    Args:
        task: that is cancelled.
    """

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task = task
        self._signals = 0

    def __call__(self) -> None:
        """Take a signal."""
        self._signals += 1
        if self._signals == 1:
            self._task.cancel()
        elif self._signals == 2:
            with contextlib.suppress(OSError):  # the terminal may be gone
                click.echo("connector: finishing the refresh under way…", err=True)


def load(config: str | None) -> "Settings":
    """Load the configuration and set up logging for a command.

    Raises:
        ConfigurationError: every problem of it.
    """
    from connector.log import configure_logging
    from connector.settings import load_settings

    configure_logging("DEBUG" if is_debugging() else "CRITICAL", "console")
    return load_settings(config_path(config))


@contextlib.asynccontextmanager
async def opened(
    settings: "Settings", *, create: bool = False, lives_on: bool = False
) -> AsyncIterator["Runtime"]:
    """Open the runtime of a command.

    Args:
        settings: the configuration.
        create: make the vault where there is none.
        lives_on: the command serves for long: it is told of changes, and writes its audit trail
            meanwhile; see `open_runtime`.

    Raises:
        ConnectorError: as `open_runtime`.
    """
    from connector.runtime import open_runtime
    from connector.vault.environment import forget_key

    forbid_core_dumps()
    through = click.get_current_context().command_path
    opening = asyncio.create_task(
        open_runtime(settings, has_background=lives_on, create=create, through=through)
    )
    try:
        runtime = await asyncio.shield(opening)
    except asyncio.CancelledError:
        await _close_when_open(opening)
        raise
    forget_key(settings.vault.seal_kind, settings.vault.seal_name)
    try:
        yield runtime
    finally:
        await _to_the_end(runtime.aclose())


async def _close_when_open(opening: "asyncio.Task[Runtime]") -> None:
    """Let a database open that was about to, and close it; one that takes long is given up.

    Cut off half-way, the thread of SQLite's driver would complain to an event loop that is gone.
    """
    await asyncio.wait([opening], timeout=OPENING_TIME)
    opening.cancel()  # nothing to one that is open by now
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await _to_the_end(opening.result().aclose())


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait until a coroutine has ended, though the waiting task is cancelled meanwhile."""
    task, is_cancelled = asyncio.create_task(work), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            is_cancelled = True
    task.result()
    if is_cancelled:
        raise asyncio.CancelledError
