"""The cursors that a destination keeps, in a table of its database.

A cursor is any JSON value, None included. It belongs to a job and to an account's immutable
identifier: it goes with an account that is renamed, and another account that is given the name of
one that was forgotten begins anew.
"""

import json
import sqlite3
import time
from enum import Enum
from typing import Final


class Unmoved(Enum):
    """Stands for a cursor that was not moved: None is a place to begin, and can be gone back to."""

    UNMOVED = "unmoved"


UNMOVED: Final = Unmoved.UNMOVED


class CursorTable:
    """The cursor of one job and account.

    Args:
        connection: its transactions are the caller's.
        name: of the table.
        job: the job's name.
        account: the account's name, for people who look into the table.
        account_id: the account's identifier.
    """

    def __init__(
        self, connection: sqlite3.Connection, name: str, *, job: str, account: str, account_id: str
    ) -> None:
        self._connection = connection
        self._name = name
        self._job = job
        self._account = account
        self._account_id = account_id

    def prepare(self) -> None:
        """Make the table; has to be called in a transaction."""
        columns = self._columns(self._name)
        by_name = f"{self._name}_by_name"
        if columns and "account_id" not in columns:
            self._connection.execute(f"ALTER TABLE {self._name} RENAME TO {by_name}")
        self._connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self._name} (job TEXT NOT NULL, account_id TEXT NOT NULL,"
            " account TEXT NOT NULL, cursor TEXT NOT NULL, committed_at REAL NOT NULL,"
            " PRIMARY KEY (job, account_id))"
        )
        if self._columns(by_name):
            self._adopt(by_name)

    def read(self) -> object:
        """Give the cursor that was committed last; None where there was none."""
        row = self._connection.execute(
            f"SELECT cursor FROM {self._name} WHERE job = ? AND account_id = ?",  # noqa: S608 - ours
            (self._job, self._account_id),
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def write(self, cursor: object) -> None:
        """Write the cursor, unless it is `UNMOVED`; has to be called in a transaction."""
        if cursor is not UNMOVED:
            self._insert("REPLACE", json.dumps(cursor))

    def _adopt(self, by_name: str) -> None:
        """Take over what was written for the name alone; once, for the first that bears it."""
        found = self._connection.execute(
            f"DELETE FROM {by_name} WHERE job = ? AND account = ? RETURNING cursor",  # noqa: S608 - ours
            (self._job, self._account),
        ).fetchall()
        for (text,) in found:
            self._insert("IGNORE", text)

    def _insert(self, otherwise: str, text: str) -> None:
        self._connection.execute(
            f"INSERT OR {otherwise} INTO {self._name}"  # noqa: S608 - ours
            " (job, account_id, account, cursor, committed_at) VALUES (?, ?, ?, ?, ?)",
            (self._job, self._account_id, self._account, text, time.time()),
        )

    def _columns(self, table: str) -> set[str]:
        rows = self._connection.execute(f"PRAGMA table_info({table})")
        return {row[1] for row in rows}
