"""Records into a folder of Parquet files.

Such a file cannot be appended to, so pages are spooled (see `spooled`), and made into a part file
at once. A part appears by a rename, after the spool has noted it in the transaction that took its
pages out: what a crash left is renamed then, or removed, and no record is there twice. Parts are
never rewritten: a keyed record that has changed is written again with a larger
``_connector_version``, and the largest holds; the same one is not written again.
"""

import os
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import pyarrow as pa
import pyarrow.parquet as pq

from connector.jobs.destinations.column_types import ColumnType, Unfit, fitted
from connector.jobs.destinations.declared import DeclaredColumns
from connector.jobs.destinations.destination import DestinationFailed, Record
from connector.jobs.destinations.failing import failing
from connector.jobs.destinations.records import ACCOUNT_FIELD
from connector.jobs.destinations.rejecting import Rejected
from connector.jobs.destinations.spooled import VERSION, SpooledDestination, SpooledPage
from connector.jobs.destinations.target import Target
from connector.jobs.destinations.typed_rows import PRECISION, SCALE, Page, TypedRows

_ARROW: Final[Mapping[ColumnType, pa.DataType]] = {
    "bool": pa.bool_(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "numeric": pa.decimal128(PRECISION, SCALE),
    "date": pa.date32(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "jsonb": pa.string(),
    "text": pa.string(),
}


class ParquetDestination(SpooledDestination):
    """See `destination.Destination`.

    Args:
        folder: of the files; readers take ``*.parquet`` of it.
        target: what for.

    Raises:
        DestinationFailed, Overtaken: see `destination.open_destination`.
    """

    def __init__(self, folder: str, target: Target) -> None:
        path = Path(folder)
        with failing(OSError, folder):
            path.mkdir(parents=True, exist_ok=True)
        declared = DeclaredColumns(target.columns)
        self._rows, self._check = TypedRows(declared), TypedRows(declared)
        self._are_typed = True
        super().__init__(path, target)

    def _lines(self, records: Sequence[Record]) -> tuple[list[Record], list[bytes], list[Rejected]]:
        self._are_typed = not self._check.read(records, {}).refused
        return super()._lines(records)

    def _fault_of(self, record: Record) -> str | None:
        fault = super()._fault_of(record)
        if fault is not None or self._are_typed:
            return fault
        refused = self._check.read([record], {}).refused
        return refused[0].reason if refused else None

    def _recover(self) -> None:
        pending = {name for (name,) in self._database.execute("SELECT name FROM pending")}
        for name in pending:
            self._show(name)
        for left in self._folder.glob(".part-*.tmp"):
            left.unlink(missing_ok=True)

    def _deliver(self, pages: Sequence[SpooledPage]) -> None:
        columns, own, inexact = self._columns()
        page, versions, accounts = self._page(pages, columns, inexact)
        own = {name: own.get(name, given) for name, given in page.names.items()}
        kinds = {**columns, **page.kinds}
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        name = f"part-{moment}-{uuid.uuid4().hex[:12]}.parquet"
        table = _table(page, versions, accounts, own, kinds)
        self._make(name, table)
        with self._transaction() as database:
            database.execute("INSERT INTO pending VALUES (?)", (name,))
            seqs = [(one.seq,) for one in pages]
            database.executemany("DELETE FROM pages WHERE seq = ?", seqs)
            database.executemany(
                "INSERT OR REPLACE INTO columns VALUES (?, ?, ?, ?)",
                [
                    (column, own[column], kind, column in page.inexact)
                    for column, kind in kinds.items()
                    if column in own
                ],
            )
        self._show(name)

    def _columns(self) -> tuple[dict[str, ColumnType], dict[str, str], frozenset[str]]:
        """Give the types of the columns of the parts that are there, their names, and flags."""
        query = "SELECT name, own, kind, inexact FROM columns"
        rows = self._database.execute(query).fetchall()
        kinds = {name: cast("ColumnType", kind) for name, _, kind, _ in rows}
        names = {name: own for name, own, _, _ in rows}
        return kinds, names, frozenset(name for name, _, _, flag in rows if flag)

    def _page(
        self,
        pages: Sequence[SpooledPage],
        columns: Mapping[str, ColumnType],
        inexact: frozenset[str],
    ) -> tuple[Page, list[int], list[object]]:
        """Give the rows of pages, and what is ours of each."""
        hints = self._read_hints()
        records: list[dict[str, object]] = []
        versions: list[int] = []
        accounts: list[object] = []
        for one in pages:
            for index, record in enumerate(one.records()):
                accounts.append(record.pop(ACCOUNT_FIELD))
                versions.append(one.version + index)
                records.append(_with_hints(record, hints) if hints else record)
        page = self._rows.read(records, columns, inexact)
        if page.refused:  # they were checked when they were committed
            raise DestinationFailed(f"{self._folder}: a record {page.refused[0].reason}")
        return page, versions, accounts

    def _make(self, name: str, table: pa.Table) -> None:
        path = self._folder / f".{name}.tmp"
        with failing(pa.ArrowException, str(self._folder)), path.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())

    def _show(self, name: str) -> None:
        """Have readers see a part; it may be one that they see already."""
        hidden = self._folder / f".{name}.tmp"
        if hidden.exists():
            hidden.rename(self._folder / name)
        folder = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        with self._transaction() as database:
            database.execute("DELETE FROM pending WHERE name = ?", (name,))


def _table(
    page: Page,
    versions: Sequence[int],
    accounts: Sequence[object],
    own: Mapping[str, str],
    kinds: Mapping[str, ColumnType],
) -> pa.Table:
    """Give rows as columns."""
    names = [name for name in own if name in kinds]
    arrays = [pa.array(accounts, pa.string())]
    arrays += [
        pa.array([row.get(name) for row in page.rows], _ARROW[kinds[name]]) for name in names
    ]
    arrays.append(pa.array(versions, pa.int64()))
    return pa.Table.from_arrays(arrays, [ACCOUNT_FIELD, *(own[name] for name in names), VERSION])


def _with_hints(record: dict[str, object], hints: Mapping[str, ColumnType]) -> dict[str, object]:
    """Give texts that were dates or decimals as such again."""
    for name, kind in hints.items():
        value = record.get(name)
        if isinstance(value, str):
            try:
                record[name] = fitted(value, kind)
            except Unfit:
                continue
    return record
