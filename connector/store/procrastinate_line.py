"""The line of runs on Postgres: procrastinate's tables, in a schema of their own.

Its API is called on our own transaction (`JobManager` takes a pool: ours gives that connection), so
that a row of a run and its job are written together. A job has the run's id and nothing else. It is
deleted in the transaction that fetches it: none is ever under way, so that no worker of
procrastinate's has to be watched. Only queries of single transactions: a pooler of those will do.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection

from connector.errors import ConfigurationError, Problem, TemporarilyUnavailable
from connector.store.run_lines import Openings, Place, Waiting

if TYPE_CHECKING:
    from procrastinate.jobs import Job
    from procrastinate.manager import JobManager

SCHEMA: Final = "procrastinate"
TASK: Final = "connector.run"
#: Serialises making the schema between processes (any number that is ours).
_LOCK: Final = 0x434E4351
#: What the comment of a schema that we made begins with; the version of procrastinate follows.
_COMMENT: Final = "Connector: the queue of runs, made by procrastinate "
#: Its names of queues have this many characters at the most.
_LONGEST_QUEUE: Final = 128
_URGENT: Final = 1
#: SQLSTATE of a role that may not.
_NO_RIGHT: Final = "42501"

# its tables first: another program's may stand where ours do, under the same names
_SEE: Final = text(
    "SELECT set_config('search_path', 'procrastinate, ' || current_setting('search_path'), true)"
)
_FOUND: Final = text(
    "SELECT obj_description(oid, 'pg_namespace') AS comment,"
    " to_regclass('procrastinate.procrastinate_jobs') IS NOT NULL AS has_tables"
    " FROM pg_namespace WHERE nspname = 'procrastinate'"
)
_MISSING: Final = text(
    "SELECT run.id, run.job, run.queued_at, account.provider FROM run"
    " LEFT JOIN account ON account.name = run.account"
    " WHERE run.outcome IN ('queued', 'running') AND run.outcome = 'queued' AND NOT EXISTS"
    " (SELECT 1 FROM procrastinate.procrastinate_jobs AS job WHERE job.args->>'run' = run.id)"
)
_PLACE: Final = text(
    "SELECT run.job, account.provider FROM run"
    " LEFT JOIN account ON account.name = run.account WHERE run.id = :run"
)


class ProcrastinateLine:
    """The line of runs on Postgres; implements `run_lines.Line`."""

    async def prepare(self, connection: AsyncConnection) -> None:
        """Make the schema; anew, from the rows, where another version of procrastinate made it.

        Raises:
            ConfigurationError: the extra is missing, the database does not let us, or the schema is
                another program's.
        """
        comment = _COMMENT + _version()
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        found = (await connection.execute(_FOUND)).one_or_none()
        if found is not None and found.has_tables:
            if found.comment == comment:
                return
            if not (found.comment or "").startswith(_COMMENT):
                raise _refused("belongs to another program", "let that one use another schema")
            await connection.execute(text(f"DROP SCHEMA {SCHEMA} CASCADE"))
            found = None
        try:
            if found is None:
                await connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
            await connection.execute(text(f"COMMENT ON SCHEMA {SCHEMA} IS '{comment}'"))
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != _NO_RIGHT:
                raise
            remedy = f"type: CREATE SCHEMA {SCHEMA} AUTHORIZATION …, with the role of vault.url"
            raise _refused(f"cannot be made: {str(error.orig).strip()}", remedy) from None
        async with _managing(connection) as manager:
            from procrastinate.schema import SchemaManager

            await SchemaManager(manager.connector).apply_schema_async()
        await self.repair(connection)

    async def put(self, connection: AsyncConnection, waiting: Sequence[Waiting]) -> None:
        """Put runs at its end."""
        if not waiting:
            return
        jobs = [_job(one, await _queue_of(connection, one)) for one in waiting]
        async with _managing(connection) as manager:
            await manager.batch_defer_jobs_async(jobs)

    async def next(
        self,
        connection: AsyncConnection,
        openings: Openings,
        *,
        now: float,  # noqa: ARG002 - the database's own clock tells
    ) -> str | None:
        """Take out the first run that there is a place for, of whatever account."""
        queues = [queue_name(place) for place in openings.places]
        async with _managing(connection) as manager:
            # of no worker: it is gone when this transaction ends
            job = await manager.fetch_job(queues, cast("int", None))
            if job is None or job.id is None:
                return None
            run = str(job.task_kwargs.get("run"))
            from procrastinate.jobs import Status

            await manager.finish_job_by_id_async(job.id, Status.SUCCEEDED, delete_job=True)
        return run

    async def put_back(self, connection: AsyncConnection, run: str, *, at: float) -> None:
        """Put a run back that has just been given."""
        await self.put(connection, [Waiting(run=run, place=None, at=at)])

    async def repair(self, connection: AsyncConnection) -> None:
        """Put rows in line that are not: somebody has emptied or dropped its tables."""
        rows = (await connection.execute(_MISSING)).all()
        await self.put(
            connection,
            [
                Waiting(run=row.id, place=(row.job, row.provider or ""), at=row.queued_at)
                for row in rows
            ],
        )


def queue_name(place: Place) -> str:
    """Name the queue of a place; a long name is told by its hash."""
    name = "/".join(place)
    if len(name) <= _LONGEST_QUEUE:
        return name
    digest = blake2b(name.encode(), digest_size=16).hexdigest()
    return f"{name[: _LONGEST_QUEUE - len(digest) - 1]}~{digest}"


async def _queue_of(connection: AsyncConnection, waiting: Waiting) -> str:
    """Name the queue of a run: of its row's job and its account's provider, where not given."""
    place = waiting.place
    if place is None:
        row = (await connection.execute(_PLACE, {"run": waiting.run})).one()
        place = (row.job, row.provider or "")
    return queue_name(place)


def _job(waiting: Waiting, queue: str) -> "Job":
    from procrastinate.jobs import Job

    return Job(
        queue=queue,
        task_name=TASK,
        priority=_URGENT if waiting.is_urgent else 0,
        lock=None,
        queueing_lock=None,
        task_kwargs={"run": waiting.run},
        scheduled_at=None if waiting.at is None else datetime.fromtimestamp(waiting.at, UTC),
    )


class _Pool:
    """A pool, for procrastinate, of the one connection that has our transaction."""

    def __init__(self, connection: object) -> None:
        self._connection = connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[object]:
        yield self._connection


@asynccontextmanager
async def _managing(connection: AsyncConnection) -> AsyncIterator["JobManager"]:
    """Call procrastinate's API in our transaction, within a ``with`` block.

    Raises:
        TemporarilyUnavailable: the database failed.
    """
    from procrastinate import PsycopgConnector
    from procrastinate.exceptions import ConnectorException
    from procrastinate.manager import JobManager

    before = (await connection.execute(text("SELECT current_setting('search_path')"))).scalar_one()
    await connection.execute(_SEE)
    raw = await connection.get_raw_connection()
    connector = PsycopgConnector()
    await connector.open_async(pool=cast("Any", _Pool(raw.driver_connection)))
    try:
        yield JobManager(connector)
    except ConnectorException as error:
        raise TemporarilyUnavailable(f"the queue of runs cannot be had: {error}") from None
    restore = text("SELECT set_config('search_path', :before, true)")
    await connection.execute(restore, {"before": before})


def _version() -> str:
    """Give the version of procrastinate.

    Raises:
        ConfigurationError: it is not installed.
    """
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("procrastinate")
    except PackageNotFoundError:
        problem = Problem(
            "vault.url", "", "jobs on Postgres need procrastinate", "install connector[postgres]"
        )
        raise ConfigurationError([problem]) from None


def _refused(message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError([Problem("vault.url", f"schema {SCHEMA}", message, remedy)])
