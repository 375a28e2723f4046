"""The states that a destination keeps, in a table of a Postgres database.

The row of a stream is what its commits are fenced by: each one names the session that it belongs
to, and its number in it. Who opens the stream, or opens it again after the connection was lost,
begins another session: what is still under way in the one before finds no row, and writes nothing.
So a commit whose answer was lost can be told from one that was not done, and is never done twice.
"""

import json
import secrets
from typing import Final, cast

from connector.jobs.destinations.postgres_link import Connection, transaction
from connector.jobs.destinations.stream import Overtaken, State, Stream

TABLE: Final = "_connector_cursor"
_MAKE: Final = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    job text NOT NULL,
    account_id text NOT NULL,
    account text NOT NULL,
    cursor text NOT NULL DEFAULT 'null',
    checkpoint text NOT NULL DEFAULT 'null',
    writer text NOT NULL DEFAULT '',
    session text NOT NULL DEFAULT '',
    number bigint NOT NULL DEFAULT 0,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job, account_id)
)
"""
#: Serializes what makes and alters tables; held to the end of the transaction.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('connector destination', 0))"
_ROW: Final = "WHERE job = %s AND account_id = %s"
#: Takes over what was written when a job had one state, whatever its table.
_ADOPT: Final = (
    f"UPDATE {TABLE} SET job = %s {_ROW} AND NOT EXISTS (SELECT 1 FROM {TABLE} AS there"  # noqa: S608 - ours
    f" WHERE there.job = %s AND there.account_id = {TABLE}.account_id)"
)


class PostgresState:
    """The state of one stream.

    Args:
        stream: whose state it is.
        records: the table of its records.
    """

    def __init__(self, stream: Stream, records: str) -> None:
        self._stream = stream
        self._job = stream.name_in(records)
        self._session = ""
        self.number = 0

    def begin(self, connection: Connection) -> None:
        """Make the table and become the one who writes.

        Raises:
            psycopg.Error: it cannot be.
            Overtaken: a later attempt of this run has begun.
        """
        with transaction(connection):
            (found,) = _one(connection, "SELECT to_regclass(%s)", (TABLE,))
            if found is None:
                lock_tables(connection)
                connection.execute(_MAKE)
            connection.execute(_ADOPT, (self._job, self._stream.name, self._key()[1], self._job))
            connection.execute(
                f"INSERT INTO {TABLE} (job, account_id, account) VALUES (%s, %s, %s)"  # noqa: S608 - ours
                " ON CONFLICT DO NOTHING",
                (*self._key(), self._stream.account),
            )
            query = f"SELECT writer FROM {TABLE} {_ROW} FOR UPDATE"  # noqa: S608 - ours
            (writer,) = _one(connection, query, self._key())
            self._stream.check_writer(cast("str", writer))
            self._begin_session(connection)

    def resume(self, connection: Connection) -> bool:
        """Go on after a connection was lost; tell whether the commit under way then was done.

        Raises:
            psycopg.Error: it cannot be.
            Overtaken: another run writes now.
        """
        with transaction(connection):
            query = f"SELECT writer, session, number FROM {TABLE} {_ROW} FOR UPDATE"  # noqa: S608 - ours
            writer, session, number = _one(connection, query, self._key())
            if writer != self._stream.writer:
                raise Overtaken("another run of this job writes for this account now")
            is_done = (session, number) == (self._session, self.number)
            self._begin_session(connection)
        return is_done

    def read(self, connection: Connection) -> State:
        """Give the state that was committed last."""
        query = f"SELECT cursor, checkpoint FROM {TABLE} {_ROW}"  # noqa: S608 - ours
        cursor, checkpoint = _one(connection, query, self._key())
        return State(
            cursor=json.loads(cast("str", cursor)), checkpoint=json.loads(cast("str", checkpoint))
        )

    def fence(self, state: State | None) -> tuple[str, tuple[object, ...]]:
        """Give the statement that writes the state where this session still stands.

        It gives one row, or none where another run writes now; and it locks the row, so that no
        other can take over until the transaction has ended.
        """
        change = "" if state is None else ", cursor = %s, checkpoint = %s"
        values = () if state is None else (json.dumps(state.cursor), json.dumps(state.checkpoint))
        query = (
            f"UPDATE {TABLE} SET number = %s, account = %s, committed_at = now(){change}"  # noqa: S608 - ours
            f" {_ROW} AND session = %s RETURNING 1"
        )
        return query, (self.number, self._stream.account, *values, *self._key(), self._session)

    def _begin_session(self, connection: Connection) -> None:
        session = secrets.token_hex(8)
        connection.execute(
            f"UPDATE {TABLE} SET writer = %s, session = %s, number = 0 {_ROW}",  # noqa: S608 - ours
            (self._stream.writer, session, *self._key()),
        )
        self._session, self.number = session, 0

    def _key(self) -> tuple[str, str]:
        return self._job, self._stream.account_id


def lock_tables(connection: Connection) -> None:
    """Wait until nobody else makes or alters tables; until the transaction ends."""
    connection.execute(_LOCK)


def _one(connection: Connection, query: str, values: tuple[object, ...]) -> tuple[object, ...]:
    row = connection.execute(query.encode(), values).fetchone()
    if row is None:
        raise Overtaken("the state of this job for this account was removed")
    return row
