"""Which pages and packages of a spool belong to which stream, and what was loaded last."""

import json
import sqlite3
from dataclasses import dataclass
from typing import Final

from connector.jobs.destinations.spooled import PIECE, SpooledPage

TABLES: Final = (
    "steps (seq INTEGER PRIMARY KEY, pipeline TEXT NOT NULL, state TEXT NOT NULL)",
    "packages (pipeline TEXT PRIMARY KEY, loaded TEXT, pending TEXT, load_id TEXT, seq INTEGER)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The packages of a stream that this spool knows of.

    Attributes:
        loaded: the last that was loaded; "": none.
        pending: the one that is complete and perhaps partly loaded.
        load_id: dlt's own identifier of that.
        seq: the last page of that.
    """

    loaded: str = ""
    pending: str | None = None
    load_id: str | None = None
    seq: int | None = None

    def has(self, package: str) -> bool:
        """Tell whether a package is one of them."""
        return package in {self.loaded, self.pending}


class Ledger:
    """See the module.

    Args:
        database: of the spool; transactions are the caller's.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def marks(self, pipeline: str) -> Marks:
        """Give what is known of a stream's packages."""
        query = "SELECT loaded, pending, load_id, seq FROM packages WHERE pipeline = ?"
        row = self._database.execute(query, (pipeline,)).fetchone()
        if row is None:
            return Marks()
        return Marks(loaded=row[0], pending=row[1], load_id=row[2], seq=row[3])

    def mark(self, pipeline: str, marks: Marks) -> None:
        """Note a stream's packages."""
        values = (pipeline, marks.loaded, marks.pending, marks.load_id, marks.seq)
        self._database.execute("INSERT OR REPLACE INTO packages VALUES (?, ?, ?, ?, ?)", values)

    def pending(self) -> list[str]:
        """Give the pipelines that have a package to be loaded to its end."""
        query = "SELECT pipeline FROM packages WHERE pending IS NOT NULL"
        return [pipeline for (pipeline,) in self._database.execute(query)]

    def add(self, pipeline: str, state: str, *, is_new: bool) -> None:
        """Note whose the last page is, and the state that came with it.

        Args:
            pipeline: of the stream.
            state: as JSON.
            is_new: there is no page of it yet: it has no records.
        """
        if is_new:
            statement = "INSERT INTO pages (version, lines) VALUES (0, x'')"
            self._database.execute(statement)
        statement = "INSERT INTO steps SELECT max(seq), ?, ? FROM pages"
        self._database.execute(statement, (pipeline, state))

    def step(self, seq: int) -> tuple[str, str]:
        """Give whose a page is, and the state that came with it."""
        query = "SELECT pipeline, state FROM steps WHERE seq = ?"
        pipeline, state = self._database.execute(query, (seq,)).fetchone()
        return pipeline, state

    def stream(self, pipeline: str) -> tuple[str, str]:
        """Give the name and the account of a stream that has pages."""
        query = "SELECT state FROM steps WHERE pipeline = ? LIMIT 1"
        (text,) = self._database.execute(query, (pipeline,)).fetchone()
        state = json.loads(text)
        return state["job"], state["account_id"]

    def piece(self) -> list[SpooledPage]:
        """Give the oldest pages of a stream, as many as are loaded at once."""
        query = "SELECT pipeline FROM steps ORDER BY seq LIMIT 1"
        first = self._database.execute(query).fetchone()
        if first is None:
            return []
        query = (
            "SELECT pages.seq, version, lines FROM pages JOIN steps ON steps.seq = pages.seq"
            " WHERE pipeline = ? ORDER BY pages.seq"
        )
        pages: list[SpooledPage] = []
        size = 0
        for seq, version, lines in self._database.execute(query, first):
            pages.append(SpooledPage(seq=seq, version=version, lines=lines))
            size += len(lines)
            if size >= PIECE:
                break
        return pages

    def take_out(self, pipeline: str, seq: int | None = None) -> None:
        """Remove pages of a stream up to one; None: all."""
        some = "SELECT seq FROM steps WHERE pipeline = ? AND seq <= ?"
        values = (pipeline, 2**62 if seq is None else seq)
        self._database.execute(f"DELETE FROM pages WHERE seq IN ({some})", values)  # noqa: S608 - ours
        self._database.execute("DELETE FROM steps WHERE pipeline = ? AND seq <= ?", values)
