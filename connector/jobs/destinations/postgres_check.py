"""Whether records can be written into a Postgres database; nothing is written."""

import psycopg

from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.postgres_link import connect, place_of, telling
from connector.jobs.destinations.postgres_names import column_name
from connector.jobs.destinations.postgres_table import PostgresTable
from connector.jobs.destinations.records import ACCOUNT_FIELD
from connector.jobs.destinations.sqlite_table import quoted

_MAY_MAKE = "SELECT current_schema(), has_schema_privilege(current_schema(), 'CREATE')"
_MAY_WRITE = (
    "SELECT has_table_privilege(to_regclass(%s), 'INSERT'),"
    " has_table_privilege(to_regclass(%s), 'UPDATE')"
)


def check_postgres(url: str, *, table: str, key: tuple[str, ...]) -> str:
    """Check that records can be written; give the place as messages name it.

    Args:
        url: ``postgresql://…``, with its password.
        table: that takes the records.
        key: the fields by which a record replaces another; empty: none does.

    Raises:
        DestinationFailed: they cannot be.
    """
    place = place_of(url)
    with telling(place):
        connection = connect(url)
        with connection, connection.transaction():
            row = connection.execute("SHOW transaction_read_only").fetchone()
            if row == ("on",):
                raise psycopg.errors.ReadOnlySqlTransaction("transactions are read-only here")
            schema, may_make = connection.execute(_MAY_MAKE).fetchone() or (None, None)
            if schema is None:
                raise DestinationFailed(f"{place}: there is no schema to make tables in")
            if not may_make:
                remedy = f"GRANT CREATE ON SCHEMA {schema} TO this user"
                raise DestinationFailed(f"{place}: tables cannot be made in {schema}: {remedy}")
            merge_key = (ACCOUNT_FIELD, *map(column_name, key)) if key else ()
            found = PostgresTable(table, merge_key)
            found.read(connection)
            name = quoted(table)
            may_write = connection.execute(_MAY_WRITE, (name, name)).fetchone()
            if found.columns and may_write != (True, True):
                remedy = f"GRANT INSERT, SELECT, UPDATE ON {table} TO this user"
                raise DestinationFailed(f"{place}: {table} cannot be written: {remedy}")
    return place
