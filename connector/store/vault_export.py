"""Reads a whole store, opened, in one consistent snapshot, while others go on writing.

Memory holds one batch of rows. An answer that waits in the journal of this host is newer than its
row, whose refresh token it has replaced: the export has it instead (docs/adr/0016). What does not
open is named, and its account is exported in need of consent, so that one damaged value does not
cost the backup of all others.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, select
from sqlmodel import SQLModel

from connector.account import Account
from connector.errors import VaultSealed
from connector.store.account_rows import binding_of, read_account, sealed_values
from connector.store.accounts import AccountStore
from connector.store.database import Database
from connector.store.export_account import SENT, ExportedAccount, ExportedTokens
from connector.store.export_format import ExportLines
from connector.store.export_rows import KINDS, debt_record
from connector.store.late_tokens import late_place
from connector.store.pending_write import PendingWrite
from connector.store.revocations import RevocationStore
from connector.store.tables import ACCOUNT
from connector.store.vault_keys import learn_keys_within
from connector.vault.vault import Vault

#: Rows that are read together.
BATCH: Final = 500
UNREADABLE: Final = "its tokens did not open when the vault was exported"

_LATE: Final = SQLModel.metadata.tables["late_token"]
_REVOCATION: Final = SQLModel.metadata.tables["revocation"]
_ACCOUNTS: Final = select(
    *ACCOUNT.c,
    _LATE.c.generation.label("late_generation"),
    _LATE.c.sent_at.label("late_sent_at"),
    _LATE.c.refresh_token_sealed.label("late_sealed"),
).outerjoin(_LATE, _LATE.c.account_id == ACCOUNT.c.id)

#: Answers in the journal: by account and by the generation that its row had when they were sent.
Waiting = Mapping[tuple[str, int], bytes]


@dataclass(kw_only=True)
class Exported:
    """What an export holds.

    Attributes:
        counts: lines by kind.
        from_journal: names of accounts whose tokens were in the journal.
        under_way: names of accounts that were being refreshed.
        failures: what did not open: the account's name, and why.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    from_journal: list[str] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)


class VaultExport:
    """Exports a store.

    Args:
        database: where it is.
        vault: opens its values.
        waiting: gives the answers that wait in the journal now.
        batch: rows that are read together.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        waiting: Callable[[], Waiting],
        *,
        batch: int = BATCH,
    ) -> None:
        self._database = database
        self._vault = vault
        self._waiting = waiting
        self._batch = batch
        self._accounts = AccountStore(database, vault)
        self._debts = RevocationStore(database, vault, self._accounts)

    async def write(
        self, write: Callable[[bytes], object], *, version: str, now: float
    ) -> Exported:
        """Write the lines of an export.

        Args:
            write: takes bytes.
            version: of this program.
            now: seconds since the epoch.

        Raises:
            TemporarilyUnavailable: the database or the journal cannot be had.
        """
        head = {"store_id": self._vault.store_id, "exported_at": now, "connector": version}
        # one that is applied before the snapshot is in it; one that is kept later is found then
        before = self._waiting()
        async with self._database.snapshot() as connection:
            lines = ExportLines(write, head)
            return await connection.run_sync(self._write, lines, before, now)

    def _write(
        self, connection: Connection, lines: ExportLines, before: Waiting, now: float
    ) -> Exported:
        exported = Exported()
        waiting: Waiting | None = None
        for rows in self._batches(connection, _ACCOUNTS, ACCOUNT.c.id):
            if waiting is None:  # the snapshot has begun
                waiting = {**before, **self._waiting()}
            learn_keys_within(connection, self._vault, _sealed(rows))
            for row in rows:
                account = self._account(connection, row, waiting, exported)
                lines.add("account", account.record())
        for rows in self._batches(connection, select(_REVOCATION), _REVOCATION.c.id):
            learn_keys_within(connection, self._vault, (row.tokens_sealed for row in rows))
            for debt in map(self._debts.read, rows):
                if debt.tokens:
                    lines.add("revocation", debt_record(debt))
                else:
                    exported.failures.append((debt.account, debt.last_error or ""))
        for kind in KINDS:
            for rows in self._batches(connection, select(kind.table), kind.key):
                for row in rows:
                    lines.add(kind.name, kind.record(row, now))
        lines.finish()
        exported.counts = lines.counts
        return exported

    def _batches(
        self, connection: Connection, query: Select[Any], key: Any
    ) -> Iterator[list[Row[Any]]]:
        query = query.order_by(key).limit(self._batch)
        rows = list(connection.execute(query))
        while rows:
            yield rows
            last = getattr(rows[-1], key.key)
            rows = list(connection.execute(query.where(key > last)))

    def _account(
        self, connection: Connection, row: Row[Any], waiting: Waiting, exported: Exported
    ) -> ExportedAccount:
        read = read_account(row)
        account, due_at = self._newest(connection, read, row.due_at, waiting, exported)
        if read.lease is not None and read.attempt is not None and account is read:
            exported.under_way.append(read.name)
        is_late = row.late_generation == account.generation
        try:
            tokens = None if account.grant is None else self._tokens(account)
            if tokens is not None and is_late:
                late = late_place(account.id, account.generation, binding_of(account))
                tokens = replace(
                    tokens,
                    late_token=self._vault.open_secret(bytes(row.late_sealed), late),
                    late_sent_at=row.late_sent_at,
                )
        except VaultSealed as error:
            exported.failures.append((account.name, error.reason))
            return _unreadable(_exported(account, row, due_at=None))
        return replace(
            _exported(account, row, due_at=due_at), tokens=tokens, sent=self._sent(account, tokens)
        )

    def _newest(
        self,
        connection: Connection,
        account: Account,
        due_at: float | None,
        waiting: Waiting,
        exported: Exported,
    ) -> tuple[Account, float | None]:
        """Give an account as it will be once what waits in the journal is written."""
        newest = account
        try:
            while newest.grant is not None:
                payload = waiting.get((newest.id, newest.generation))
                if payload is None:
                    break
                write = PendingWrite.load(payload)
                sealed = (write.sealed.access_token, write.sealed.refresh_token, write.sealed.extra)
                learn_keys_within(connection, self._vault, sealed)
                newest, due_at = write.applied_to(newest), write.due_at
                self._tokens(newest)
        except (ValueError, VaultSealed) as error:
            # the attempt stands in the row: its outcome is exported as unknown
            reason = error.reason if isinstance(error, VaultSealed) else str(error)
            exported.failures.append((account.name, f"an answer kept in the journal: {reason}"))
            return account, due_at
        if newest is not account:
            exported.from_journal.append(account.name)
        return newest, due_at

    def _tokens(self, account: Account) -> ExportedTokens:
        refresh_token = self._accounts.open_refresh_token(account)
        return ExportedTokens(
            access_token=self._accounts.open_access_token(account),
            refresh_token=refresh_token,
            extra=self._accounts.open_extra_text(account),
        )

    def _sent(self, account: Account, tokens: ExportedTokens | None) -> str:
        """Tell which of its tokens the account has sent, where that is not settled."""
        if account.attempt is None:
            return ""
        for which in SENT[:-1]:
            token = None if tokens is None else tokens.sent(which)
            if token and self._vault.fingerprint(token) == account.attempt.token_fingerprint:
                return which
        return SENT[-1]


def _exported(account: Account, row: Row[Any], *, due_at: float | None) -> ExportedAccount:
    grant = account.grant
    return ExportedAccount(
        id=account.id,
        name=account.name,
        provider=account.provider,
        state=account.state_name,
        reason=row.reason if account.state_name == row.state else None,
        state_since=row.state_since,
        generation=account.generation,
        created_at=account.created_at,
        due_at=due_at,
        fingerprint=row.fingerprint,
        subject=row.subject,
        subject_name=row.subject_name,
        terms=grant.terms if grant else None,
        tokens=None,
        attempt=account.attempt,
        sent="",
        trouble=account.trouble,
    )


def _unreadable(account: ExportedAccount) -> ExportedAccount:
    return replace(
        account, state="consent_required", reason=UNREADABLE, attempt=None, trouble=None, terms=None
    )


def _sealed(rows: list[Row[Any]]) -> Iterator[object]:
    for row in rows:
        yield from sealed_values(row)
        yield row.late_sealed
