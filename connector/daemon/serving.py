"""What a daemon does with an open vault: serves, runs jobs that are due, refreshes, keeps house."""

import asyncio
import logging

from connector.daemon.sockets import Sockets
from connector.daemon.upkeep import Upkeep
from connector.errors import ConnectorError
from connector.jobs.run import JobRunner
from connector.jobs.schedule import Timer
from connector.refresher import Refresher
from connector.runtime import Runtime, RuntimeCredentials
from connector.web.app import make_app
from connector.web.known_keys import KnownKeys
from connector.web.run_starter import RunStarter
from connector.web.server import Server, TrustedPeer

logger = logging.getLogger(__name__)


class Serving:
    """Everything that runs in a daemon, for one configuration.

    Args:
        runtime: its objects.
        sockets: to serve on.
    """

    def __init__(self, runtime: Runtime, sockets: Sockets) -> None:
        settings = runtime.settings
        runner = JobRunner(
            accounts=runtime.accounts,
            runs=runtime.runs,
            credentials=RuntimeCredentials(runtime),
            folder=settings.folder,
            hidden_variables=settings.hidden_variables,
            owner=runtime.owner,
            now=runtime.now,
        )
        self._runtime = runtime
        self._starter = RunStarter(runner)
        self._keys = KnownKeys(runtime.api_keys, now=runtime.now)
        app = make_app(runtime, self._starter, self._keys)
        self._servers = [Server(app, sockets.tcp)]
        if sockets.unix:
            self._servers.append(Server(TrustedPeer(app), sockets.unix))
        self._timer = Timer(settings.jobs, runner, now=runtime.now)
        self._refresher = Refresher(runtime.due, runtime.tokens, now=runtime.now)
        self._upkeep = Upkeep(runtime)

    async def start(self) -> None:
        """Begin; returns when connections are accepted."""
        self._upkeep.start()
        for name in self._runtime.settings.providers:
            await self._check_provider(name)
        for server in self._servers:
            await server.start()
        self._timer.start()
        self._refresher.start()

    async def aclose(self) -> None:
        """Stop in order: nothing new begins, runs stop at their cursor, open answers are given."""
        await self._upkeep.aclose()
        await self._refresher.aclose()
        await asyncio.gather(self._timer.aclose(), self._starter.aclose())
        for server in self._servers:
            await server.aclose()
        await self._keys.aclose()

    async def _check_provider(self, name: str) -> None:
        """Say at the start what would fail later; one that is down is no reason not to serve."""
        try:
            await self._runtime.directory.get(name)
        except ConnectorError as error:
            logger.warning(str(error), extra={"action": "provider.problem", "provider": name})
