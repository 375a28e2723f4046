"""Runs of jobs that this process takes from the queue and executes: of a daemon and of a worker."""

from connector.jobs.places import Limits
from connector.jobs.queue import RunQueue
from connector.jobs.run import JobRunner
from connector.runtime import Runtime, RuntimeCredentials
from connector.settings import Settings
from connector.telemetry import Telemetry


class Executing:
    """Takes runs and executes them.

    Args:
        runtime: its objects.
        concurrency: runs at once, whatever a configuration says; None: as it says.
        telemetry: takes traces of runs and refreshes; None: nobody does.

    Attributes:
        runner: executes one.
        queue: takes them.
    """

    def __init__(
        self,
        runtime: Runtime,
        concurrency: int | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        settings = runtime.settings
        self._runtime = runtime
        self._concurrency = concurrency
        self.runner = JobRunner(
            accounts=runtime.accounts,
            runs=runtime.runs,
            credentials=RuntimeCredentials(runtime),
            folder=settings.folder,
            hidden_variables=settings.hidden_variables,
            owner=runtime.owner,
            now=runtime.now,
        )
        self.runner.http = settings.http
        if telemetry is not None:
            runtime.refresh_outcomes.tell_to(telemetry.note_refresh)
            self.runner.tell_to(telemetry.note_run)
        self.queue = RunQueue(self.runner, settings.jobs, self._limits(settings), now=runtime.now)

    async def start(self) -> None:
        """Begin to take runs.

        Raises:
            TemporarilyUnavailable: the store cannot be had.
        """
        await self._runtime.runs.queue.prepare()
        self.queue.start()

    def use(self, settings: Settings) -> None:
        """Put another configuration in force; what is under way goes on with what it began with."""
        self.runner.hidden_variables = settings.hidden_variables
        self.runner.http = settings.http
        self.queue.replace(settings.jobs, self._limits(settings))

    async def aclose(self) -> None:
        """Take no more; runs under way stop at their cursor and go back to the queue."""
        await self.queue.aclose()
        self.runner.close()

    def _limits(self, settings: Settings) -> Limits:
        return Limits.of(settings, self._concurrency)
