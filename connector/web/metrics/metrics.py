"""The metrics of one daemon, and the route that gives them."""

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.jobs.queue import RunQueue
from connector.jobs.run import JobRunner
from connector.runtime import Runtime
from connector.web.caller import ANY, route
from connector.web.connections import Connections
from connector.web.metrics.family import gauge, single
from connector.web.metrics.loop_lag import LoopLag
from connector.web.metrics.process import ProcessCounts
from connector.web.metrics.requests import RequestCounts
from connector.web.metrics.stored import StoredNumbers
from connector.web.metrics.work import WorkCounts
from connector.web.refusals import Refusals


class Metrics(Collector):
    """The metrics of one daemon; they stay when its configuration is exchanged.

    Args:
        runtime: its objects.
        refusals: requests that were refused.

    Attributes:
        requests: counts HTTP requests.
    """

    def __init__(self, runtime: Runtime, refusals: Refusals) -> None:
        self.requests = RequestCounts()
        self._work = WorkCounts(lambda: runtime.settings)
        self._process = ProcessCounts(runtime, refusals)
        self._stored = StoredNumbers(runtime)
        self._lag = LoopLag()
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        runtime.refresh_outcomes.tell_to(self._work.note_refresh)

    def start(
        self, connections: Mapping[str, Connections], runner: JobRunner, queue: RunQueue
    ) -> None:
        """Begin to watch what a daemon that serves has besides its objects.

        Args:
            connections: of each listener, by its kind.
            runner: runs its jobs.
            queue: takes runs for it.
        """
        self._process.connections = connections
        self._process.runner = runner
        self._process.queue = queue
        runner.tell_to(self._work.note_run)
        self._lag.start()

    async def aclose(self) -> None:
        """Stop watching."""
        await self._lag.aclose()
        await self._stored.aclose()

    def routes(self) -> list[Route]:
        """Give the route; any key is good for it, since no metric names an account."""
        return [route("/metrics", self.show, ANY, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """Give all metrics: as OpenMetrics to who accepts that, else in Prometheus's own format."""
        await self._stored.ask()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        headers = {"Content-Type": content_type, "Cache-Control": "no-store"}
        return Response(encode(self._registry), headers=headers)

    def collect(self) -> Iterable[Metric]:
        """Give the families, for the registry."""
        yield from self._process.families()
        yield from self._work.families()
        yield from self.requests.families()
        yield from self._stored.families()
        yield gauge(
            "event_loop_lag_seconds",
            "How late the event loop was at most within the last minute",
            single(self._lag.worst),
        )
