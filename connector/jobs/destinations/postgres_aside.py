"""What stands beside the records on Postgres: what was rejected, and how the table was changed."""

from collections.abc import Sequence

from connector.jobs.destinations import schema_changes
from connector.jobs.destinations.postgres_link import Connection
from connector.jobs.destinations.postgres_state import lock_tables
from connector.jobs.destinations.rejecting import COLUMNS, SUFFIX, Rejected, rejected_rows
from connector.jobs.destinations.schema_changes import SchemaChange
from connector.jobs.destinations.sqlite_table import quoted
from connector.jobs.destinations.stream import Stream


def set_aside(
    connection: Connection, table: str, rejected: Sequence[Rejected], stream: Stream
) -> None:
    """Keep rejected records, in the caller's transaction; none of them twice.

    Raises:
        psycopg.Error: they cannot be kept.
    """
    if not rejected:
        return
    name = quoted(f"{table}{SUFFIX}")
    columns = ", ".join(
        f"{column} {'timestamptz' if column == 'rejected_at' else 'text'} NOT NULL"
        for column in COLUMNS[1:]
    )
    _make(connection, name, f"{COLUMNS[0]} text PRIMARY KEY, {columns}")
    rows = [
        [value.replace("\0", "\ufffd") for value in row.values()]
        for row in rejected_rows(rejected, stream)
    ]
    places = ", ".join(["%s"] * len(COLUMNS))
    statement = (
        f"INSERT INTO {name.replace('%', '%%')} ({', '.join(COLUMNS)})"  # noqa: S608 - quoted
        f" VALUES ({places}) ON CONFLICT DO NOTHING"
    )
    connection.cursor().executemany(statement.encode(), rows)


def keep_changes(connection: Connection, changes: Sequence[SchemaChange], stream: Stream) -> None:
    """Keep what was changed of a table, in the caller's transaction.

    Raises:
        psycopg.Error: it cannot be kept.
    """
    names = (*schema_changes.COLUMNS, "job", "run_id")
    columns = ", ".join(f"{name} text NOT NULL" for name in names)
    table = schema_changes.TABLE
    _make(connection, table, f"changed_at timestamptz NOT NULL DEFAULT now(), {columns}")
    places = ", ".join(["%s"] * len(names))
    connection.cursor().executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})".encode(),  # noqa: S608 - ours
        [(*change.values(), stream.job, stream.run_id) for change in changes],
    )


def _make(connection: Connection, name: str, columns: str) -> None:
    """Make a table where there is none."""
    row = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
    if row is not None and row[0] is not None:
        return
    lock_tables(connection)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})".encode())
