"""What a daemon does with an open vault: serves, runs jobs that are due, refreshes, keeps house."""

import logging

from connector.daemon.executing import Executing
from connector.daemon.notifier import Notifier, configured_channels
from connector.daemon.sockets import Sockets
from connector.daemon.upkeep import Upkeep
from connector.errors import ConnectorError
from connector.jobs.schedule import Timer
from connector.refresher import Refresher
from connector.runtime import Prepared, Runtime
from connector.telemetry import Telemetry
from connector.web.app import Lasting, make_app
from connector.web.connections import raise_descriptor_limit, share_of
from connector.web.known_keys import KnownKeys
from connector.web.run_starter import RunStarter
from connector.web.server import Server, Switch, TrustedPeer

logger = logging.getLogger(__name__)


class Serving:
    """Everything that runs in a daemon.

    Args:
        runtime: its objects.
        sockets: to serve on.
        telemetry: takes traces; None: nobody does.

    Attributes:
        runtime: as given.
    """

    def __init__(
        self, runtime: Runtime, sockets: Sockets, telemetry: Telemetry | None = None
    ) -> None:
        settings = runtime.settings
        self.runtime = runtime
        self._executing = Executing(runtime, telemetry=telemetry)
        runner, queue = self._executing.runner, self._executing.queue
        self._starter = RunStarter(queue)
        self._keys = KnownKeys(runtime.api_keys, now=runtime.now)
        self._lasting = Lasting(runtime, telemetry)
        self._switch = Switch(make_app(runtime, self._starter, self._keys, self._lasting))
        tcp, unix = share_of(settings.daemon.max_connections, raise_descriptor_limit())
        self._servers = [Server(self._switch, sockets.tcp, most=tcp)]
        if sockets.unix:
            self._servers.append(Server(TrustedPeer(self._switch), sockets.unix, most=unix))
        self._timer = Timer(settings.jobs, runner, queue.put_slot, now=runtime.now)
        self._refresher = Refresher(runtime.due, runtime.tokens, now=runtime.now)
        self._upkeep = Upkeep(runtime)
        self._lasting.readiness.watch("refresher", self._refresher.is_well)
        self._lasting.readiness.watch("timer", self._timer.is_well)
        self._lasting.readiness.watch("queue", queue.is_well)
        self._notifier = Notifier(runtime, configured_channels(settings))

    async def start(self) -> None:
        """Begin; returns when connections are accepted."""
        self._upkeep.start()
        for name in self.runtime.settings.providers:
            await self._check_provider(name)
        await self._executing.start()
        self._timer.start()
        self._refresher.start()
        self._notifier.start()
        for server in self._servers:  # last: whoever is answered finds all of it running
            await server.start()
        connections = dict(
            zip(("tcp", "unix"), (one.connections for one in self._servers), strict=False)
        )
        self._lasting.metrics.start(connections, self._executing.runner, self._executing.queue)

    def use(self, prepared: Prepared) -> None:
        """Put another configuration in force, all of it at once or, where that fails, nothing."""
        channels = configured_channels(prepared.settings)
        before = prepared.use_in(self.runtime)
        try:
            app = make_app(self.runtime, self._starter, self._keys, self._lasting)
        except BaseException:
            before.use_in(self.runtime)
            raise
        self._switch.app = app
        self._timer.replace(prepared.settings.jobs)
        self._executing.use(prepared.settings)
        self._notifier.use(channels)

    async def aclose(self) -> None:
        """Stop in order: nothing new begins, runs stop at their cursor, open answers are given."""
        self._lasting.readiness.is_stopping = True
        await self._notifier.aclose()
        await self._upkeep.aclose()
        await self._refresher.aclose()
        await self._timer.aclose()
        await self._executing.aclose()
        for server in self._servers:
            await server.aclose()
        await self._keys.aclose()
        await self._lasting.metrics.aclose()

    async def _check_provider(self, name: str) -> None:
        """Say at the start what would fail later; one that is down is no reason not to serve."""
        try:
            await self.runtime.directory.get(name)
        except ConnectorError as error:
            logger.warning(str(error), extra={"action": "provider.problem", "provider": name})
