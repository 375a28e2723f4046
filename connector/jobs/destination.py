"""Where records go. Records and cursor are committed together, so that a crash repeats nothing.

A destination remembers, for each job and account, the cursor that was committed last. With a key, a
record that comes again replaces the one before, whole, and changes nothing where it is the same;
also within one commit the last one holds.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from connector.jobs.cursor import UNMOVED
from connector.jobs.json_lines import JsonLinesDestination
from connector.jobs.sqlite import SqliteDestination


class Destination(Protocol):
    """Takes records of one job and account."""

    def cursor(self) -> object:
        """Give the cursor that was committed last; None where there was none."""
        ...

    def commit(self, records: Sequence[Mapping[str, object]], cursor: object = UNMOVED) -> None:
        """Write records and cursor in one transaction; without a cursor the one before stays.

        Raises:
            OSError, sqlite3.Error: it failed; nothing was written.
            UnusableRecord: a record cannot be written; nothing was.
        """
        ...

    def close(self) -> None:
        """Close it."""
        ...


def open_destination(
    url: str, *, table: str, key: tuple[str, ...], job: str, account: str, account_id: str
) -> Destination:
    """Open a destination.

    Args:
        url: ``sqlite:///PATH`` or ``jsonl:PATH``, the path absolute.
        table: of a database.
        key: the fields that identify a record, besides the account.
        job: the job's name.
        account: the account's name, written into each record.
        account_id: the account's identifier, which the cursor belongs to.

    Raises:
        OSError, sqlite3.Error: it cannot be opened.
        ValueError: the URL names no destination.
    """
    if url.startswith("sqlite:///"):
        path = url.removeprefix("sqlite:///")
        return SqliteDestination(
            path, table=table, key=key, job=job, account=account, account_id=account_id
        )
    if url.startswith("jsonl:"):
        path = url.removeprefix("jsonl:")
        return JsonLinesDestination(path, key=key, job=job, account=account, account_id=account_id)
    raise ValueError(f"{url!r} is no destination")
