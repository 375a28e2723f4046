"""Accounts in the database: found, begun, renamed, removed, and their tokens opened."""

import asyncio
import difflib
import json
import re
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from sqlalchemy import Connection, Executable, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from connector.account import Account
from connector.account_name import LONGEST_NAME, check_account_name
from connector.errors import UnknownAccount, VaultSealed
from connector.secret import Secret
from connector.store.account_rows import binding_of, place, read_account, sealed_values
from connector.store.audit_entry import Entry
from connector.store.audit_trail import Note, unnoted
from connector.store.database import Database
from connector.store.open_runs import (
    FORGOTTEN,
    LEFT_BEHIND,
    parting_from_runs,
    renaming_of_runs,
)
from connector.store.tables import ACCOUNT, AccountRow, ConnectLinkRow, ConsentRow
from connector.store.vault_keys import learn_keys_within
from connector.vault.envelope import Place
from connector.vault.vault import Vault

_BY_NAME: Final = select(ACCOUNT).where(ACCOUNT.c.name == bindparam("account_name"))
#: A statement takes 32,766 parameters on SQLite, and twice as many on Postgres.
_MOST_NAMES: Final = 5_000
#: A name that nothing bears is compared with so many before it and after it: with ten thousand it
#: takes seconds.
_MOST_COMPARED: Final = 100
_BEFORE: Final = (
    select(ACCOUNT.c.name)
    .where(ACCOUNT.c.name < bindparam("wanted"))
    .order_by(ACCOUNT.c.name.desc())
    .limit(_MOST_COMPARED)
)
_AFTER: Final = (
    select(ACCOUNT.c.name)
    .where(ACCOUNT.c.name >= bindparam("wanted"))
    .order_by(ACCOUNT.c.name)
    .limit(_MOST_COMPARED)
)
#: What leads to an account by its name, as long as it is open.
_LEADING_TO: Final = (
    (ConnectLinkRow, col(ConnectLinkRow.used_at).is_(None)),
    (ConsentRow, col(ConsentRow.consumed_at).is_(None)),
)
_NO_PART_OF_NAMES: Final = re.compile(r"[^a-z0-9._/-]")


class AccountStore:
    """Reads and writes accounts.

    Args:
        database: where they are.
        vault: what seals and opens their tokens.
        note: is told what happens to them, for the audit trail.
    """

    def __init__(self, database: Database, vault: Vault, note: Note = unnoted) -> None:
        self._database = database
        self._vault = vault
        self._note = note
        self._unreadable: set[str] = set()

    async def get(self, name: str) -> Account | None:
        """Give an account by name, or None.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        try:
            check_account_name(name)
        except ValueError:  # nothing bears such a name, and Postgres would choke on some
            return None
        return await self._database.look_up(lambda connection: self._find(connection, name))

    async def require(self, name: str) -> Account:
        """Give an account by name.

        Raises:
            UnknownAccount: there is none; names the nearest.
        """
        account = await self.get(name)
        if account is None:
            raise UnknownAccount(name, await self._nearest(name))
        return account

    async def name_of(self, account_id: str) -> str | None:
        """Give the name that an account has now, or None: it is gone."""
        query = select(col(AccountRow.name)).where(col(AccountRow.id) == account_id)
        async with self._database.read() as connection:
            found: str | None = (await connection.execute(query)).scalar_one_or_none()
        return found

    async def all(self) -> list[Account]:
        """Give all accounts, by name."""
        async with self._database.read() as connection:
            query = select(AccountRow).order_by(col(AccountRow.name))
            rows = (await connection.execute(query)).all()
            sealed = (value for row in rows for value in sealed_values(row))
            await connection.run_sync(learn_keys_within, self._vault, sealed)
        return [read_account(row) for row in rows]

    async def versions(self, names: list[str]) -> dict[str, tuple[str, int, str]]:
        """Give identifier, generation and state of accounts, for what memory must forget."""
        columns = (
            col(AccountRow.name),
            col(AccountRow.id),
            col(AccountRow.generation),
            col(AccountRow.state),
        )
        found: dict[str, tuple[str, int, str]] = {}
        for first in range(0, len(names), _MOST_NAMES):
            some = names[first : first + _MOST_NAMES]
            query = select(*columns).where(col(AccountRow.name).in_(some))
            rows = await self._database.look_up(_all(query))
            found |= {name: (key, generation, state) for name, key, generation, state in rows}
        return found

    async def begin(self, name: str, provider: str, *, now: float) -> Account:
        """Give the account that a consent is for; a new one is pending, an old one is untouched."""
        account = await self.get(name)
        if account is not None:
            return account
        row = {
            "id": secrets.token_hex(16),
            "name": name,
            "provider": provider,
            "state": "pending",
            "state_since": now,
            "generation": 0,
            "created_at": now,
        }
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(AccountRow).values(row))
        except IntegrityError:  # another process began the same one: theirs is as good
            pass
        return await self.require(name)

    async def forget(self, account: Account) -> None:
        """Remove the row, and what SQLite keeps of it.

        No link or consent brings it back, and no run that waits, or is to be resumed, is that of
        another account which is given its name.
        """
        async with self._database.write() as connection:
            await connection.execute(delete(AccountRow).where(col(AccountRow.id) == account.id))
            for table, is_open in _LEADING_TO:
                is_its = col(table.account) == account.name
                await connection.execute(delete(table).where(is_its, is_open))
            now = self._database.now()
            for statement in parting_from_runs(account.name, FORGOTTEN, now=now):
                await connection.execute(statement)
        self._note(Entry(event="account.forgotten", account=account.name, account_id=account.id))
        await self._database.scrub()

    async def rename(self, account: Account, name: str) -> bool:
        """Give an account another name; False where that name is taken.

        Links and consents that are open lead to it by the new name, and its runs are found there.
        An open one that has no place there is not that of the next account of the old name.

        Raises:
            UnknownAccount: it was removed meanwhile.
        """
        statement = update(AccountRow).where(col(AccountRow.id) == account.id).values(name=name)
        try:
            async with self._database.write() as connection:
                result = await connection.execute(statement)
                for table, is_open in _LEADING_TO if result.rowcount else ():
                    is_its = col(table.account) == account.name
                    renaming = update(table).where(is_its, is_open).values(account=name)
                    await connection.execute(renaming)
                if result.rowcount:
                    await connection.execute(renaming_of_runs(account.name, name))
                    now = self._database.now()
                    for statement in parting_from_runs(account.name, LEFT_BEHIND, now=now):
                        await connection.execute(statement)
        except IntegrityError:
            return False
        if result.rowcount == 0:
            raise UnknownAccount(account.name)
        self._note(
            Entry(
                event="account.renamed",
                account=account.name,
                account_id=account.id,
                detail={"name": name},
            )
        )
        return True

    def open_access_token(self, account: Account) -> Secret:
        """Open the access token of an account that has one.

        Raises:
            VaultSealed: the ciphertext does not open.
        """
        return self._open(account, "access_token")

    def open_refresh_token(self, account: Account) -> Secret | None:
        """Open the refresh token of an account, or None where it has none.

        Raises:
            VaultSealed: the ciphertext does not open.
        """
        if account.grant is None or account.grant.sealed.refresh_token is None:
            return None
        return self._open(account, "refresh_token")

    def open_extra(self, account: Account) -> dict[str, object]:
        """Open the further fields of the token answer; empty where there are none.

        Raises:
            VaultSealed: the ciphertext does not open.
        """
        text = self.open_extra_text(account)
        return {} if text is None else cast("dict[str, object]", json.loads(text.reveal()))

    def open_extra_text(self, account: Account) -> Secret | None:
        """Open them as the JSON that they are kept as, or None where there are none.

        Raises:
            VaultSealed: the ciphertext does not open.
        """
        if account.grant is None or account.grant.sealed.extra is None:
            return None
        return self._open(account, "extra")

    def fingerprint(self, secret: Secret) -> str:
        """Give the keyed digest by which a token is referred to."""
        return self._vault.fingerprint(secret)

    async def _nearest(self, name: str) -> str | None:
        """Give the name most like one that nothing bears, of those that stand around it."""
        wanted = _NO_PART_OF_NAMES.sub("", name.lower())[:LONGEST_NAME]

        def find(connection: Connection) -> list[str]:
            values = {"wanted": wanted}
            return [
                one
                for query in (_BEFORE, _AFTER)
                for one in connection.execute(query, values).scalars()
            ]

        names = await self._database.look_up(find)
        # beside the event loop, which serves others meanwhile
        found = await asyncio.to_thread(difflib.get_close_matches, wanted, names, n=1)
        return found[0] if found else None

    def _find(self, connection: Connection, name: str) -> Account | None:
        row = connection.execute(_BY_NAME, {"account_name": name}).one_or_none()
        if row is None:
            return None
        learn_keys_within(connection, self._vault, sealed_values(row))
        return read_account(row)

    def _open(self, account: Account, field: str) -> Secret:
        grant = account.grant
        assert grant is not None  # noqa: S101 - callers have looked
        sealed: bytes = getattr(grant.sealed, field)
        try:
            return self._vault.open_secret(sealed, _place(account, field))
        except VaultSealed as error:
            self._note_unreadable(account, field)
            raise VaultSealed(f"account {account.name}: {error.reason}", error.remedy) from None

    def _note_unreadable(self, account: Account, field: str) -> None:
        """Take note once for each account, however often it is asked for (CHECKLIST 116)."""
        if account.id not in self._unreadable:
            self._unreadable.add(account.id)
            self._note(
                Entry(
                    event="value.unreadable",
                    account=account.name,
                    account_id=account.id,
                    detail={"place": field, "generation": account.generation},
                )
            )


def _place(account: Account, field: str) -> Place:
    return place(account.id, field, account.generation, binding_of(account))


def _all(query: Executable) -> Callable[[Connection], Sequence[Any]]:
    return lambda connection: connection.execute(query).all()
