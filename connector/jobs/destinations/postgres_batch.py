"""One commit to Postgres, while it is being tried."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg import Rollback, errors

from connector.jobs.destinations.destination import Committed, Record
from connector.jobs.destinations.postgres_link import Connection
from connector.jobs.destinations.postgres_rows import Page, encode_carefully
from connector.jobs.destinations.postgres_table import PostgresTable
from connector.jobs.destinations.rejecting import Rejected, reject
from connector.jobs.destinations.schema_changes import SchemaChange
from connector.jobs.destinations.stream import State


@dataclass(slots=True, kw_only=True)
class Batch:
    """What is to be committed.

    Attributes:
        records: that have not been rejected.
        state: how far the stream has come; None: the one before stays.
        rejected: records that are set aside.
        allowed: so many may be; None: any number.
        is_careful: each value is looked at.
        page: the records as they were tried last.
    """

    records: Sequence[Record]
    state: State | None
    rejected: list[Rejected]
    allowed: int | None
    is_careful: bool = False
    page: Page = field(default_factory=Page)

    @property
    def aside(self) -> list[Rejected]:
        """All that is set aside."""
        return [*self.rejected, *self.page.refused]

    def done(self, changed: int | None, changes: Sequence[SchemaChange] = ()) -> Committed:
        """Say what the commit did.

        Args:
            changed: rows that were new or different.
            changes: of the table.
        """
        aside = self.aside
        return Committed(
            written=len(self.page.records),
            changed=changed,
            rejected=len(aside),
            reason=aside[0].reason if aside else None,
            schema=tuple(change.sentence() for change in changes),
        )


def reject_misfits(
    connection: Connection, table: PostgresTable, account: str, batch: Batch
) -> None:
    """Find the records of a batch that the database refuses, and reject them; write nothing.

    Halves are tried, and halves of those, so that one record of a thousand is found in twenty
    tries.

    Args:
        connection: in a transaction.
        table: has the columns that the records need.
        account: its name.
        batch: loses what is rejected.
    """
    page = batch.page
    faults: dict[int, str] = {}

    def try_some(low: int, high: int) -> None:
        records = page.records[low:high]
        statement = table.insert(page.names).encode()
        try:
            with connection.transaction():
                connection.execute(statement, (account, encode_carefully(records)))
                raise Rollback
        except errors.DataError as error:
            if high - low == 1:
                faults[low] = f"does not fit the table ({type(error).__name__})"
                return
            middle = (low + high) // 2
            try_some(low, middle)
            try_some(middle, high)

    if page.records:
        try_some(0, len(page.records))
    batch.rejected += page.refused
    batch.rejected += [reject(page.sources[index], fault) for index, fault in faults.items()]
    batch.records = [source for index, source in enumerate(page.sources) if index not in faults]
