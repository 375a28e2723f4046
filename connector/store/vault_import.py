"""Writes an export into a store: all of it in one transaction, sealed anew under this vault's keys.

Nothing is written where a line has changed since they were checked, or where other accounts are
here than a person has decided about. What an account becomes here is in `store.arrivals`; jobs'
pauses, runs, pins, halts and debts are added where there is none of their key.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, delete, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel

from connector.errors import TemporarilyUnavailable
from connector.store.accounts import AccountStore
from connector.store.arrivals import Arrivals
from connector.store.database import Database
from connector.store.export_account import ExportedAccount
from connector.store.export_check import Checked, Line, read_lines
from connector.store.export_format import ExportError, ExportReader
from connector.store.export_rows import Kind, Values
from connector.store.generation_marks import GenerationMarks
from connector.store.present_accounts import Present, find_present
from connector.store.revocations import RevocationDebt, RevocationStore
from connector.store.seal_counts import SealCounts
from connector.store.tables import ACCOUNT
from connector.vault.vault import Vault

BATCH: Final = 500
CHANGED: Final = "the vault has changed meanwhile; nothing was written"

_LATE: Final = SQLModel.metadata.tables["late_token"]
_REVOCATION: Final = SQLModel.metadata.tables["revocation"]
_MOST_KEYS: Final = 5_000  # of one statement's parameters


@dataclass(kw_only=True)
class Imported:
    """What an import wrote.

    Attributes:
        counts: rows by kind.
        held: names of accounts that a person has to confirm.
        skipped: names of accounts that were here.
        generations: of the accounts, by their identifiers.
    """

    counts: Counter[str] = field(default_factory=Counter)
    held: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    generations: dict[str, int] = field(default_factory=dict)


class VaultImport:
    """Imports into a store.

    Args:
        database: where it is.
        vault: seals its values.
        marks: how far tokens had come that were written on this host.
        rotates: tells of a provider whether its refresh tokens are spent by their use.
        counts: of the values that are sealed.
        waiting: answers in this host's journal, see `Arrivals`.

    Attributes:
        arrivals: says what accounts become here.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        marks: GenerationMarks,
        rotates: Callable[[str], bool],
        counts: SealCounts | None = None,
        waiting: Iterable[tuple[str, int]] = (),
    ) -> None:
        self._database = database
        self._vault = vault
        self._marks = marks
        self._counts = counts
        self.arrivals = Arrivals(vault, marks, rotates, waiting)
        self._debts = RevocationStore(database, vault, AccountStore(database, vault))

    async def present(self, checked: Checked) -> Present:
        """Find the accounts of an export that are here already.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        return await self._database.look_up(
            lambda connection: find_present(connection, self._database, self._vault, checked)
        )

    async def write(
        self,
        reader: ExportReader,
        checked: Checked,
        agreed: Present,
        *,
        is_replacing: bool,
        now: float,
    ) -> Imported:
        """Write an export that was checked.

        Args:
            reader: of the same export, from its beginning.
            checked: what was found in it; without problems.
            agreed: the accounts that were here when a person decided about them.
            is_replacing: they are replaced; else they are left as they are.
            now: seconds since the epoch.

        Raises:
            ExportError: the file is not the one that was checked; nothing was written.
            TemporarilyUnavailable: the database cannot be had, or other accounts came into being;
                nothing was written.
        """

        def work(connection: Connection) -> Imported:
            present = find_present(connection, self._database, self._vault, checked)
            if present.names != agreed.names:
                raise TemporarilyUnavailable(CHANGED)
            if is_replacing:
                present.check_replaceable()
                _remove(connection, present.ids)
            writing = _Writing(self, connection, present, is_replacing=is_replacing, now=now)
            writing.write(reader)
            if reader.digest != checked.digest:
                raise ExportError("it was changed while it was read")
            if self._counts is not None:
                self._counts.within(connection)
            return writing.imported

        try:
            imported = await self._database.transact(work)
        except IntegrityError:
            raise TemporarilyUnavailable(CHANGED) from None
        if self._counts is not None:
            self._counts.committed()
        for account_id, generation in imported.generations.items():
            self._marks.note(account_id, generation)
        await self._database.scrub()
        return imported

    def insert_new(self, connection: Connection, kind: Kind, rows: list[Values]) -> int:
        """Insert rows that are not here; give how many."""
        return self._insert_new(connection, kind.table, kind.key, rows)

    def insert_debts(self, connection: Connection, debts: list[RevocationDebt]) -> int:
        """Insert debts of revocation that are not here, to be tried at once; give how many."""
        rows = [
            self._debts.row(debt) | {"attempts": debt.attempts, "last_error": debt.last_error}
            for debt in debts
        ]
        return self._insert_new(connection, _REVOCATION, _REVOCATION.c.id, rows)

    def _insert_new(
        self, connection: Connection, table: Table, key: ColumnElement[str], rows: list[Values]
    ) -> int:
        dialect_insert = sqlite.insert if self._database.is_sqlite else postgresql.insert
        statement = dialect_insert(table).on_conflict_do_nothing().returning(key)
        return len(connection.execute(statement, rows).all())


class _Writing:
    """Writes the lines of one export in one transaction.

    Args:
        store: whose it is.
        connection: in the transaction.
        present: accounts that are, or were, here.
        is_replacing: they are gone, and come anew.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        store: VaultImport,
        connection: Connection,
        present: Present,
        *,
        is_replacing: bool,
        now: float,
    ) -> None:
        self._store = store
        self._connection = connection
        self._present = present
        self._is_replacing = is_replacing
        self._now = now
        self.imported = Imported()

    def write(self, reader: ExportReader) -> None:
        """Read and write all lines, in batches of one kind."""
        batch: list[Line] = []
        for _number, line in read_lines(reader, _refuse):
            if batch and (len(batch) == BATCH or _kind(batch[0]) != _kind(line)):
                self._flush(batch)
                batch = []
            batch.append(line)
        self._flush(batch)

    def _flush(self, batch: list[Line]) -> None:
        imported = self.imported
        accounts = [line for line in batch if isinstance(line, ExportedAccount)]
        debts = [line for line in batch if isinstance(line, RevocationDebt)]
        rows = [line for line in batch if isinstance(line, tuple)]
        if accounts:
            self._accounts(accounts)
        if debts:
            imported.counts["revocation"] += self._store.insert_debts(self._connection, debts)
        if rows:
            kind = rows[0][0]
            count = self._store.insert_new(self._connection, kind, [values for _, values in rows])
            imported.counts[kind.name] += count

    def _accounts(self, accounts: list[ExportedAccount]) -> None:
        rows, late_rows = [], []
        for exported in accounts:
            if not self._is_replacing and self._present.has(exported.id, exported.name):
                self.imported.skipped.append(exported.name)
                continue
            account, is_held = self._store.arrivals.stand(exported, self._present, self._now)
            if is_held:
                self.imported.held.append(account.name)
            self.imported.generations[account.id] = account.generation
            rows.append(self._store.arrivals.row(account))
            late = self._store.arrivals.late_row(account)
            if late is not None:
                late_rows.append(late)
        if rows:
            self._connection.execute(insert(ACCOUNT), rows)
        if late_rows:
            self._connection.execute(insert(_LATE), late_rows)
        self.imported.counts["account"] += len(rows)


def _kind(line: Line) -> object:
    return line[0].name if isinstance(line, tuple) else type(line)


def _refuse(_number: int, _account: str, _message: str) -> None:
    raise ExportError("it was changed while it was read")


def _remove(connection: Connection, ids: Iterable[str]) -> None:
    every: list[Any] = sorted(ids)
    for first in range(0, len(every), _MOST_KEYS):
        some = every[first : first + _MOST_KEYS]
        connection.execute(delete(ACCOUNT).where(ACCOUNT.c.id.in_(some)))
