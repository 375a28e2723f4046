"""Records into a table of a Postgres database.

A page is one transaction, sent at once and answered once: the state is written where this session
still stands (see `postgres_state`), and the records with it. Where the table has to change, or
records are set aside, the transaction is led step by step. A commit whose answer was lost is looked
for in the state, and done again only where it was not done.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, cast

import psycopg
from psycopg import errors

from connector.jobs.destinations.declared import DeclaredColumns
from connector.jobs.destinations.destination import Committed, DestinationFailed, Record
from connector.jobs.destinations.postgres_aside import keep_changes, set_aside
from connector.jobs.destinations.postgres_batch import Batch, reject_misfits
from connector.jobs.destinations.postgres_link import (
    SETTINGS,
    connect,
    is_lost,
    place_of,
    telling,
    transaction,
)
from connector.jobs.destinations.postgres_names import column_name
from connector.jobs.destinations.postgres_rows import Page, PageReader, encode, encode_carefully
from connector.jobs.destinations.postgres_state import PostgresState, lock_tables
from connector.jobs.destinations.postgres_table import PostgresTable
from connector.jobs.destinations.records import ACCOUNT_FIELD, storable_text
from connector.jobs.destinations.rejecting import SUFFIX, Rejected, check_allowed
from connector.jobs.destinations.schema_changes import SchemaChange
from connector.jobs.destinations.stream import Overtaken, State
from connector.jobs.destinations.target import Target

#: Another writer may alter the table between two looks, or two may wait for each other.
_TRIES: Final = 5
_AGAIN: Final = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.DatatypeMismatch,
    errors.DuplicateTable,
    errors.DuplicateColumn,
    errors.DeadlockDetected,
    errors.SerializationFailure,
)


_OVERTAKEN: Final = "another run of this job writes for this account now"


class PostgresDestination:
    """See `destination.Destination`.

    Args:
        url: ``postgresql://…``, with its password.
        target: what for.

    Raises:
        DestinationFailed, Overtaken: see `destination.open_destination`.
    """

    def __init__(self, url: str, target: Target) -> None:
        self._url = url
        self._place = place_of(url)
        self._stream = target.stream
        self._account = storable_text(target.stream.account).replace("\0", "\ufffd")
        self._state = PostgresState(target.stream, target.table)
        self._reader = PageReader(DeclaredColumns(target.columns))
        merge_key = (ACCOUNT_FIELD, *map(column_name, target.key)) if target.key else ()
        self._table = PostgresTable(target.table, merge_key)
        self._pages = 0
        self.rejected_to = f"{target.table}{SUFFIX}"
        with telling(self._place):
            self._connection = connect(url)
            try:
                self._state.begin(self._connection)
                self._table.read(self._connection)
            except BaseException:
                self._connection.close()
                raise

    def state(self) -> State:
        """Give the state that was committed last."""
        with telling(self._place):
            return self._state.read(self._connection)

    def commit(
        self,
        records: Sequence[Record],
        state: State | None = None,
        *,
        rejected: Sequence[Rejected] = (),
        allowed: int | None = None,
    ) -> Committed:
        """Write records and state in one transaction; see `destination.Destination.commit`."""
        self._pages += bool(records)
        batch = Batch(records=records, state=state, rejected=list(rejected), allowed=allowed)
        if self._connection.closed:
            raise DestinationFailed(f"{self._place}: the connection was lost before")
        with telling(self._place):
            self._state.number += 1
            try:
                return self._try(batch)
            except psycopg.Error as error:
                if not is_lost(self._connection, error):
                    raise
            if self._is_done():
                return batch.done(changed=None)
            self._state.number += 1
            return self._try(batch)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _is_done(self) -> bool:
        """Connect again; tell whether the commit that was under way was done."""
        self._connection.close()
        connection = connect(self._url)
        try:
            is_done = self._state.resume(connection)
            self._table.read(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._reader.forget()
        return is_done

    def _try(self, batch: Batch) -> Committed:
        """Commit, and look at the table again where it is not what it was."""
        for count in range(_TRIES):
            try:
                return self._attempt(batch)
            except errors.DataError:
                if batch.is_careful:
                    self._set_misfits_aside(batch)
                batch.is_careful = True
            except _AGAIN:
                if count == _TRIES - 1:
                    raise
            self._table.read(self._connection)
            self._reader.forget()
        raise DestinationFailed(f"{self._place}: table {self._table.name} changes all the time")

    def _attempt(self, batch: Batch) -> Committed:
        page, text = self._page(batch)
        batch.page = page
        too_many = check_allowed(batch.aside, batch.allowed)
        is_simple = not (page.needs or batch.aside) and (self._table.columns or not page.records)
        if is_simple and psycopg.Pipeline.is_supported():
            return batch.done(changed=self._quickly(batch, page, text))
        changes: list[SchemaChange] = []
        changed = 0
        with self._fenced(None if too_many else batch.state):
            # first, since it may wait for others who wait for what has been written
            set_aside(self._connection, self._table.name, batch.aside, self._stream)
            if not too_many:
                changes = self._alter(batch, page)
                if page.records:
                    changed = self._insert(page, text)
        if too_many:
            raise too_many
        return batch.done(changed=changed, changes=changes)

    def _page(self, batch: Batch) -> tuple[Page, str]:
        """Make a page of the records, and its text."""
        columns = self._table.columns
        for is_careful in (batch.is_careful, True):
            page = self._reader.read(batch.records, columns, self._pages, is_careful=is_careful)
            text = encode_carefully(page.records) if is_careful else encode(page.records)
            if text is not None:
                return page, text
            batch.is_careful = True
        raise AssertionError

    def _quickly(self, batch: Batch, page: Page, text: str) -> int:
        """Send the whole transaction at once; give the number of rows that have changed."""
        fence, values = self._state.fence(batch.state)
        query = f"WITH fenced AS ({fence}) SELECT 1, 0 FROM fenced"  # noqa: S608 - ours
        if page.records:
            insert = self._table.insert(page.names, "fenced, ")
            query = (
                f"WITH fenced AS ({fence}), wrote AS ({insert})"  # noqa: S608 - ours
                " SELECT 1, (SELECT count(*) FROM wrote) FROM fenced"
            )
            values = (*values, self._account, text)
        try:
            with self._connection.pipeline(), self._connection.transaction():
                self._connection.execute(SETTINGS)
                cursor = self._connection.execute(query.encode(), values)
        finally:
            if not self._connection.closed:
                self._connection.rollback()  # of what failed; the pipeline has left it open
        row = cursor.fetchone()
        if row is None:
            raise Overtaken(_OVERTAKEN)
        return cast("int", row[1])

    @contextmanager
    def _fenced(self, state: State | None) -> Iterator[None]:
        """Begin a transaction that writes the state, in which nobody can take over."""
        with transaction(self._connection):
            fence, values = self._state.fence(state)
            if self._connection.execute(fence.encode(), values).fetchone() is None:
                raise Overtaken(_OVERTAKEN)
            yield

    def _insert(self, page: Page, text: str) -> int:
        statement = self._table.insert(page.names)
        return self._connection.execute(statement.encode(), (self._account, text)).rowcount

    def _alter(self, batch: Batch, page: Page) -> list[SchemaChange]:
        """Make and widen what the page needs; another writer may have done so meanwhile."""
        if not page.needs and (self._table.columns or not page.records):
            return []
        lock_tables(self._connection)
        self._table.read(self._connection)
        self._reader.forget()
        again = self._reader.read(
            batch.records, self._table.columns, self._pages, is_careful=batch.is_careful
        )
        changes = self._changes(again)
        if changes:
            keep_changes(self._connection, changes, self._stream)
            self._table.read(self._connection)
            self._reader.forget()
        return changes

    def _changes(self, page: Page) -> list[SchemaChange]:
        """Alter the table; say what was done."""
        name, needs = self._table.name, page.needs
        if not self._table.columns:
            kinds = {column: need.kind for column, need in needs.items()}
            self._table.create(self._connection, kinds)
            after = f"{len(kinds) + 1} columns"
            return [SchemaChange(table=name, column="", before="", after=after, because="")]
        changes = []
        for column, need in needs.items():
            present = self._table.columns.get(column)
            if present is None:
                self._table.add(self._connection, column, need.kind)
            else:
                self._table.widen(self._connection, column, need.kind)
            before = "" if present is None else present.kind or present.sql_type
            changes.append(
                SchemaChange(
                    table=name, column=column, before=before, after=need.kind, because=need.because
                )
            )
        return changes

    def _set_misfits_aside(self, batch: Batch) -> None:
        """Find the records that the database refuses; the others are tried again."""
        with transaction(self._connection):
            self._alter(batch, batch.page)
            reject_misfits(self._connection, self._table, self._account, batch)
            raise psycopg.Rollback
