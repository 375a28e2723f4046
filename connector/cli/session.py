"""Runs a command's coroutine with the objects that it needs, and closes them whatever happens."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from connector.cli.options import config_path, is_debugging

if TYPE_CHECKING:
    from connector.runtime import Runtime
    from connector.settings import Settings

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; SIGTERM ends it as Ctrl-C does, with everything closed."""

    async def guarded() -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - we are in one
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await work

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def forbid_core_dumps() -> None:
    """Keep a crash from writing the vault's keys to disk (CHECKLIST 168)."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every platform
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


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
async def opened(settings: "Settings", *, create: bool = False) -> AsyncIterator["Runtime"]:
    """Open the runtime of a one-shot command.

    Raises:
        ConnectorError: as `open_runtime`.
    """
    from connector.runtime import open_runtime

    forbid_core_dumps()
    runtime = await open_runtime(settings, has_background=False, create=create)
    try:
        yield runtime
    finally:
        await asyncio.shield(runtime.aclose())
