"""Where records go. Records and state are committed together, so that a crash repeats nothing.

A destination remembers, for each stream (a job, and an account), how far it has come. With a key, a
record that comes again replaces the one before, whole, and changes nothing where it is the same;
also within one commit the last one holds. A record that cannot be written is set aside (see
`rejecting`) and the others go on.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from connector.jobs.destinations.rejecting import Rejected
from connector.jobs.destinations.stream import State, Stream
from connector.jobs.destinations.target import Target

Record = Mapping[str, object]


class DestinationFailed(Exception):
    """Records could not be written; nothing of the batch was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """What a commit did.

    Attributes:
        written: records that it took, whether or not they were there already.
        changed: of them, those that were new or different; None where it is not known, as of a
            commit whose answer was lost.
        rejected: records that were set aside, those that the caller had rejected included.
        reason: why the first of them was; None: none was.
        schema: what was changed of the table, in sentences.
    """

    written: int = 0
    changed: int | None = 0
    rejected: int = 0
    reason: str | None = None
    schema: tuple[str, ...] = ()


class Destination(Protocol):
    """Takes the records of one stream; who opens one takes over from whoever wrote before.

    Attributes:
        rejected_to: the table or file that rejected records are set aside in.
    """

    rejected_to: str

    def state(self) -> State:
        """Give the state that was committed last."""
        ...

    def commit(
        self,
        records: Sequence[Record],
        state: State | None = None,
        *,
        rejected: Sequence[Rejected] = (),
        allowed: int | None = None,
    ) -> Committed:
        """Write records and state in one transaction; without a state the one before stays.

        Args:
            records: mappings with text keys that have the fields of the key; not changed here.
            state: how far the stream has come with them.
            rejected: records that are set aside with them.
            allowed: so many may be set aside, of `rejected` and `records`; None: any number.

        Raises:
            DestinationFailed: it failed; nothing was written.
            Overtaken: another run writes this stream now; nothing was written.
            TooManyRejected: they are set aside; nothing else was written, nor the state.
        """
        ...

    def close(self) -> None:
        """Close it.

        Raises:
            DestinationFailed: what was committed is kept, but could not be passed on to where
                readers find it; the next that closes does.
        """
        ...


def open_destination(
    url: str,
    *,
    table: str,
    key: tuple[str, ...],
    stream: Stream,
    columns: Mapping[str, str] | None = None,
) -> Destination:
    """Open a destination.

    Args:
        url: ``sqlite:///PATH``, ``jsonl:PATH``, ``duckdb:PATH`` or ``parquet:FOLDER``, the
            path absolute, ``postgresql://…``, or ``dlt:NAME?folder=…&dataset=…``.
        table: of a database.
        key: the fields by which a record replaces another, besides the account; empty: none does.
        stream: whose records it takes.
        columns: field → declared type, see `column_types`.

    Raises:
        DestinationFailed: it cannot be opened.
        Overtaken: a later attempt of this run has begun.
        ValueError: the URL names no destination.
    """
    target = Target(table=table, key=key, stream=stream, columns=columns or {})
    if url.startswith("sqlite:///"):
        from connector.jobs.destinations.sqlite import SqliteDestination

        path = url.removeprefix("sqlite:///")
        return SqliteDestination(path, target)
    if url.startswith("jsonl:"):
        from connector.jobs.destinations.json_lines import JsonLinesDestination

        path = url.removeprefix("jsonl:")
        return JsonLinesDestination(path, target)
    if url.startswith("duckdb:"):
        with _needing("DuckDB", "duckdb"):
            from connector.jobs.destinations.duckdb_file import DuckdbDestination

        path = url.removeprefix("duckdb:")
        return DuckdbDestination(path, target)
    if url.startswith("parquet:"):
        with _needing("Parquet", "parquet"):
            from connector.jobs.destinations.parquet_files import ParquetDestination

        path = url.removeprefix("parquet:")
        return ParquetDestination(path, target)
    if url.startswith("dlt:"):
        from connector.jobs.destinations.dlt_load import DltDestination

        return DltDestination(url, target)
    if url.startswith("postgresql://"):
        with _needing("Postgres", "postgres"):
            from connector.jobs.destinations.postgres import PostgresDestination

        return PostgresDestination(url, target)
    raise ValueError("the destination's URL names none")


@contextlib.contextmanager
def _needing(name: str, extra: str) -> Iterator[None]:
    """Say what is to be installed where an import fails."""
    try:
        yield
    except ImportError as error:
        remedy = f"pip install 'connector[{extra}]'"
        raise DestinationFailed(f"{name} needs what is not installed: {remedy}") from error
