"""What this process counts by itself, read at each scrape: nothing here waits for anything."""

from collections.abc import Mapping

from prometheus_client.core import Metric

from connector import __version__
from connector.jobs.queue import RunQueue
from connector.jobs.run import JobRunner
from connector.runtime import Runtime
from connector.token_source.reads import SOURCES
from connector.web.connections import Connections
from connector.web.metrics.family import counter, gauge, single
from connector.web.refusals import Refusals


class ProcessCounts:
    """What a daemon's objects have counted.

    Args:
        runtime: its objects.
        refusals: requests that were refused.

    Attributes:
        connections: of each listener, by its kind.
        runner: runs jobs; None: nothing does.
        queue: likewise.
    """

    def __init__(self, runtime: Runtime, refusals: Refusals) -> None:
        self.connections: Mapping[str, Connections] = {}
        self.runner: JobRunner | None = None
        self.queue: RunQueue | None = None
        self._runtime = runtime
        self._refusals = refusals

    def families(self) -> list[Metric]:
        """Give the metrics."""
        return [
            gauge("build_info", "Which version this is", {(__version__,): 1}, "version"),
            *self._tokens(),
            *self._database(),
            *self._listeners(),
            *self._jobs(),
        ]

    def _tokens(self) -> list[Metric]:
        runtime = self._runtime
        reads = {(source, via): 0 for source in SOURCES for via in ("http", "job")}
        flights, changes = runtime.tokens.flights, runtime.changes
        return [
            counter(
                "token_reads",
                "Access tokens that were given, by where they came from and where they went",
                reads | runtime.reads.counts,
                "source",
                "via",
            ),
            gauge(
                "tokens_remembered",
                "Accounts whose token this process has in memory",
                single(runtime.tokens.memory.count),
            ),
            gauge(
                "refreshes_under_way", "Refreshes under way here", single(len(flights.under_way()))
            ),
            counter(
                "refreshes_joined",
                "Callers who found the refresh that they wanted under way, and waited for it",
                single(flights.joined),
            ),
            counter(
                "lease_waits",
                "How often another process's refresh was waited for",
                single(changes.waits),
            ),
            counter(
                "lease_wait_seconds",
                "For how long other processes' refreshes were waited for",
                single(changes.waited),
            ),
            gauge(
                "journal_answers",
                "Answers of token endpoints that this process keeps, not in the store yet",
                single(runtime.kept.count),
            ),
            gauge(
                "audit_entries_kept",
                "Entries of the audit trail that are not written yet",
                single(runtime.trail.kept),
            ),
            counter(
                "audit_entries_lost",
                "Entries of the audit trail that were dropped",
                single(runtime.trail.lost),
            ),
        ]

    def _database(self) -> list[Metric]:
        threads, group = self._runtime.database.threads(), self._runtime.grants.group
        return [
            gauge(
                "database_queue_length",
                "Calls that wait for a thread of the database",
                {(name,): thread.queued for name, thread in threads.items()},
                "thread",
            ),
            counter(
                "database_calls",
                "Calls that a thread of the database was given",
                {(name,): thread.calls for name, thread in threads.items()},
                "thread",
            ),
            counter(
                "database_wait_seconds",
                "For how long calls waited until their thread began with them",
                {(name,): thread.waited for name, thread in threads.items()},
                "thread",
            ),
            counter("commits", "Transactions that wrote tokens and leases", single(group.groups)),
            counter(
                "commit_statements",
                "Statements in those transactions: several share one",
                single(group.statements),
            ),
            gauge(
                "store_last_contact_timestamp_seconds",
                "When the database last did as it was asked",
                single(self._runtime.database.answered_at),
            ),
        ]

    def _listeners(self) -> list[Metric]:
        listeners = self.connections
        turned_away = {
            (name, outcome): count
            for name, one in listeners.items()
            for outcome, count in (
                ("displaced", one.displaced),
                ("refused", one.refused),
                ("timed_out", one.timed_out),
            )
        }
        return [
            gauge(
                "connections",
                "Connections that are open",
                {(name,): len(one) for name, one in listeners.items()},
                "listener",
            ),
            gauge(
                "connections_limit",
                "Connections that may be open",
                {(name,): one.most for name, one in listeners.items()},
                "listener",
            ),
            counter(
                "connections_ended",
                "Connections that gave way, found no room, or were too slow",
                turned_away,
                "listener",
                "reason",
            ),
            counter(
                "requests_refused",
                "Requests that were refused to who may not make them",
                {(reason,): count for reason, count in self._refusals.totals.items()},
                "reason",
            ),
        ]

    def _jobs(self) -> list[Metric]:
        jobs = self._runtime.settings.jobs
        running = self.runner.running if self.runner is not None else {}
        takeovers = self.queue.takeovers if self.queue is not None else {}
        now = self._runtime.now()
        due = {
            (name,): job.schedule.next_after(now)
            for name, job in jobs.items()
            if job.schedule is not None
        }
        return [
            gauge(
                "job_runs_under_way",
                "Runs under way in this process",
                {(name,): running.get(name, 0) for name in jobs},
                "job",
            ),
            counter(
                "job_takeovers",
                "Runs whose owner was gone, put back into the queue by this process",
                {(name,): takeovers.get(name, 0) for name in jobs},
                "job",
            ),
            gauge(
                "job_next_due_timestamp_seconds",
                "When a job is due next",
                due,
                "job",
            ),
        ]
