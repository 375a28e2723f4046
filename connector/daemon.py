"""The daemon: HTTP API, timer, refresher and settling of debts in one process, one event loop.

Sockets are bound and the vault is open before anything is served. At the end nothing new begins,
runs are stopped at their cursor, refreshes under way commit, and the sockets go.
"""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from connector.errors import ConfigurationError, ConnectorError, Problem, VaultSealed
from connector.jobs.run import JobRunner
from connector.jobs.schedule import Timer
from connector.refresher import Refresher
from connector.runtime import Runtime, RuntimeCredentials, configured_seal, open_runtime
from connector.settings import Settings
from connector.store.seal_watch import SealWatch
from connector.vault.environment import forget_key
from connector.web.app import make_app
from connector.web.known_keys import KnownKeys
from connector.web.run_starter import RunStarter
from connector.web.server import PortTaken, Server, TrustedPeer, bind_loopback, bind_unix

logger = logging.getLogger(__name__)

#: How often debts of revocation are looked at.
SETTLING_INTERVAL: Final = 15.0
#: How often rows of the audit trail that are too old are removed.
PRUNING_INTERVAL: Final = 3600.0


class Daemon:
    """One daemon.

    Args:
        settings: the configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = asyncio.Event()
        self._sealed: VaultSealed | None = None

    def stop(self) -> None:
        """Begin the orderly stop."""
        self._stop.set()

    async def run(self) -> None:
        """Serve until `stop`.

        Raises:
            ConfigurationError: a port or socket is taken, or another daemon has this vault.
            VaultSealed: the vault does not open, or its seal has not answered for too long.
            TemporarilyUnavailable: the database cannot be had.
        """
        tcp, unix = self._bind()
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._let_go, tcp, unix, _inode(self._settings.daemon.socket))
            runtime = await open_runtime(
                self._settings, has_background=True, create=True, through="connector serve"
            )
            try:
                stack.enter_context(_sole_daemon(runtime.database.path))
            except BaseException:
                await runtime.aclose()
                raise
            # until what is under way has been written, the vault is ours and no signal cuts it off
            stack.enter_context(self._signals())
            stack.push_async_callback(runtime.aclose)
            stack.callback(self._let_go, tcp, unix, _inode(self._settings.daemon.socket))
            await self._serve(runtime, tcp, unix)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM as the wish to stop, the second one as well."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _let_go(
        self, tcp: list[socket.socket], unix: list[socket.socket], inode: int | None
    ) -> None:
        """Close the sockets, and remove the file of the one that is ours, not of a successor's."""
        path = self._settings.daemon.socket
        if path is not None and inode is not None and _inode(path) == inode:
            path.unlink(missing_ok=True)
        _close(tcp, unix)

    async def _serve(
        self, runtime: Runtime, tcp: list[socket.socket], unix: list[socket.socket]
    ) -> None:
        _forget_and_warn(self._settings)
        for name in self._settings.providers:
            await _check_provider(runtime, name)
        runner = self._runner(runtime)
        starter = RunStarter(runner)
        keys = KnownKeys(runtime.api_keys, now=runtime.now)
        app = make_app(runtime, starter, keys)
        servers = [Server(app, tcp)]
        if unix:
            servers.append(Server(TrustedPeer(app), unix))
        timer = Timer(self._settings.jobs, runner, now=runtime.now)
        refresher = Refresher(runtime.due, runtime.tokens, now=runtime.now)
        watching = asyncio.create_task(self._watch_seal(runtime), name="seal")
        settling = asyncio.create_task(_settle(runtime), name="revocation debts")
        pruning = asyncio.create_task(_prune(runtime), name="audit trail upkeep")
        try:
            for server in servers:
                await server.start()
            timer.start()
            refresher.start()
            daemon = self._settings.daemon
            logger.info(
                "serving",
                extra={
                    "action": "daemon.ready",
                    "url": f"http://{daemon.host}:{daemon.port}",
                    "path": str(daemon.socket or ""),
                },
            )
            await self._stop.wait()
            logger.info("stopping", extra={"action": "daemon.stopping"})
        finally:
            for task in (settling, pruning, watching):
                task.cancel()
            await asyncio.gather(settling, pruning, watching, return_exceptions=True)
            await refresher.aclose()
            await asyncio.gather(timer.aclose(), starter.aclose())
            for server in servers:
                await server.aclose()
            await keys.aclose()
        if self._sealed is not None:
            raise self._sealed

    async def _watch_seal(self, runtime: Runtime) -> None:
        """Stop in order once the seal has not answered for too long: the keys leave memory."""
        max_age = self._settings.vault.seal_max_age
        if max_age is None:
            return
        seal = configured_seal(self._settings)
        self._sealed = await SealWatch(runtime.database, seal, max_age=max_age).run()
        self.stop()

    def _runner(self, runtime: Runtime) -> JobRunner:
        return JobRunner(
            accounts=runtime.accounts,
            runs=runtime.runs,
            credentials=RuntimeCredentials(runtime),
            folder=self._settings.folder,
            hidden_variables=self._settings.hidden_variables,
            owner=runtime.owner,
            now=runtime.now,
        )

    def _bind(self) -> tuple[list[socket.socket], list[socket.socket]]:
        """Bind what the configuration names.

        Raises:
            ConfigurationError: something is taken or cannot be bound.
        """
        daemon, source = self._settings.daemon, self._settings.path.name
        try:
            tcp = bind_loopback(daemon.host, daemon.port)
        except OSError as error:
            message = f"{daemon.host}:{daemon.port} cannot be listened on: {error.strerror}"
            remedy = "stop the program that holds it, or set another port"
            raise ConfigurationError([Problem(source, "daemon.port", message, remedy)]) from None
        if daemon.socket is None:
            return tcp, []
        try:
            return tcp, [bind_unix(daemon.socket)]
        except OSError as error:
            _close(tcp)
            message = f"{daemon.socket} cannot be listened on: {error.strerror or error}"
            remedy = (
                "stop the other daemon"
                if isinstance(error, PortTaken)
                else "set daemon.socket to a short path in a folder of yours"
            )
            raise ConfigurationError([Problem(source, "daemon.socket", message, remedy)]) from None


def _forget_and_warn(settings: Settings) -> None:
    """Drop a key from our environment; warn of what is set and not as good as it looks."""
    if forget_key(settings.vault.seal_kind, settings.vault.seal_name):
        message = (
            "the root key's seal is an environment variable, which whatever starts this"
            " process keeps and the same user can read; a systemd credential is safer"
        )
        logger.warning(message, extra={"action": "seal.environment"})
    if settings.notify.urls or settings.notify.command:
        message = "[notify] is set, but notices are not sent in this version"
        logger.warning(message, extra={"action": "notify.unavailable"})


async def _check_provider(runtime: Runtime, name: str) -> None:
    """Say at the start what would fail later; a provider that is down is no reason not to serve."""
    try:
        await runtime.directory.get(name)
    except ConnectorError as error:
        logger.warning(str(error), extra={"action": "provider.problem", "provider": name})


async def _settle(runtime: Runtime) -> None:
    while True:
        try:
            await runtime.revoker.settle_due()
        except ConnectorError as error:
            logger.warning(str(error), extra={"action": "revocation.owed"})
        await asyncio.sleep(SETTLING_INTERVAL)


async def _prune(runtime: Runtime) -> None:
    while True:
        try:
            await runtime.trail.prune(runtime.settings.vault.audit_keep)
        except ConnectorError as error:
            logger.warning(str(error), extra={"action": "audit.not_pruned"})
        await asyncio.sleep(PRUNING_INTERVAL)


@contextlib.contextmanager
def _sole_daemon(database: Path | None) -> Iterator[None]:
    """Hold a lock beside a SQLite vault, so that a second daemon on it is refused.

    Raises:
        ConfigurationError: another daemon has it.
    """
    if database is None:
        yield
        return
    path = database.with_name(f"{database.name}.daemon")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise
            message = f"another daemon serves {database}"
            remedy = "stop it; several daemons need a Postgres vault"
            raise ConfigurationError([Problem("daemon", "", message, remedy)]) from None
        yield
    finally:
        os.close(descriptor)


def _inode(path: Path | None) -> int | None:
    """Tell which file a path names."""
    try:
        return None if path is None else path.stat().st_ino
    except OSError:
        return None


def _close(*groups: list[socket.socket]) -> None:
    for group in groups:
        for one in group:
            one.close()
