"""The states that a destination keeps, in a table of a SQLite database."""

import json
import sqlite3
import time
from typing import Final

from connector.jobs.destinations.stream import Overtaken, State, Stream

#: Columns that the first versions' tables lack, and what stands there for their rows.
_ADDED: Final = {"checkpoint": "TEXT NOT NULL DEFAULT 'null'", "writer": "TEXT NOT NULL DEFAULT ''"}


class StateTable:
    """The state of one stream.

    Args:
        connection: its transactions are the caller's.
        name: of the table.
        stream: whose state it is.
        records: the table of its records, beside which there may be others; None: there is one.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        name: str,
        stream: Stream,
        records: str | None = None,
    ) -> None:
        self._connection = connection
        self._name = name
        self._stream = stream
        self._job = stream.name if records is None else stream.name_in(records)

    def begin(self) -> None:
        """Make the table and become the one who writes; has to be called in a transaction.

        Raises:
            Overtaken: a later attempt of this run has begun.
        """
        self._prepare()
        if self._job != self._stream.name:
            self._adopt_of_any_table()
        self._insert("IGNORE", "null")
        self._stream.check_writer(self._writer())
        self._update("writer = ?", self._stream.writer)

    def read(self) -> State:
        """Give the state that was committed last."""
        cursor, checkpoint = self._connection.execute(
            f"SELECT cursor, checkpoint FROM {self._name}"  # noqa: S608 - ours
            " WHERE job = ? AND account_id = ?",
            self._key(),
        ).fetchone()
        return State(cursor=json.loads(cursor), checkpoint=json.loads(checkpoint))

    def write(self, state: State | None) -> None:
        """Write the state, or leave the one before; has to be called in a transaction.

        Raises:
            Overtaken: another run writes now.
        """
        if state is None:
            is_ours = self._writer() == self._stream.writer
        else:
            values = (json.dumps(state.cursor), json.dumps(state.checkpoint), self._stream.account)
            updated = self._connection.execute(
                f"UPDATE {self._name} SET cursor = ?, checkpoint = ?, account = ?,"  # noqa: S608 - ours
                " committed_at = ? WHERE job = ? AND account_id = ? AND writer = ?",
                (*values, time.time(), *self._key(), self._stream.writer),
            )
            is_ours = updated.rowcount == 1
        if not is_ours:
            raise Overtaken("another run of this job writes for this account now")

    def touch(self) -> None:
        """Write the state as it is, at another time: SQLite does not write what is the same."""
        self._update("committed_at = ?", time.time())

    def _prepare(self) -> None:
        columns = self._columns(self._name)
        by_name = f"{self._name}_by_name"
        if columns and "account_id" not in columns:
            self._connection.execute(f"ALTER TABLE {self._name} RENAME TO {by_name}")
            columns = set()
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self._name} (job TEXT NOT NULL, account_id TEXT NOT NULL,"
            " account TEXT NOT NULL, cursor TEXT NOT NULL, committed_at REAL NOT NULL,"
            f" {', '.join(f'{name} {kind}' for name, kind in _ADDED.items())},"
            " PRIMARY KEY (job, account_id))"
        )
        for name, kind in _ADDED.items():
            if columns and name not in columns:
                self._connection.execute(f"ALTER TABLE {self._name} ADD COLUMN {name} {kind}")
        if self._columns(by_name):
            self._adopt(by_name)

    def _adopt(self, by_name: str) -> None:
        """Take over what was written for the name alone; once, for the first that bears it."""
        found = self._connection.execute(
            f"DELETE FROM {by_name} WHERE job = ? AND account = ? RETURNING cursor",  # noqa: S608 - ours
            (self._stream.name, self._stream.account),
        ).fetchall()
        for (text,) in found:
            self._insert("IGNORE", text)

    def _adopt_of_any_table(self) -> None:
        """Take over what was written when a job had one state, whatever its table."""
        self._connection.execute(
            f"UPDATE OR IGNORE {self._name} SET job = ? WHERE job = ? AND account_id = ?",  # noqa: S608 - ours
            (self._job, self._stream.name, self._stream.account_id),
        )

    def _insert(self, otherwise: str, cursor: str) -> None:
        self._connection.execute(
            f"INSERT OR {otherwise} INTO {self._name}"  # noqa: S608 - ours
            " (job, account_id, account, cursor, committed_at) VALUES (?, ?, ?, ?, ?)",
            (*self._key(), self._stream.account, cursor, time.time()),
        )

    def _writer(self) -> str:
        (writer,) = self._connection.execute(
            f"SELECT writer FROM {self._name} WHERE job = ? AND account_id = ?",  # noqa: S608 - ours
            self._key(),
        ).fetchone()
        return str(writer)

    def _update(self, change: str, *values: object) -> None:
        self._connection.execute(
            f"UPDATE {self._name} SET {change} WHERE job = ? AND account_id = ?",  # noqa: S608 - ours
            (*values, *self._key()),
        )

    def _key(self) -> tuple[str, str]:
        return self._job, self._stream.account_id

    def _columns(self, table: str) -> set[str]:
        rows = self._connection.execute(f"PRAGMA table_info({table})")
        return {row[1] for row in rows}
