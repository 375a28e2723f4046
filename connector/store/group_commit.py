"""Statements that arrive while another transaction commits share the next one.

A commit costs an fsync, whatever it holds. One transaction is under way at a time; what is asked
for meanwhile waits for it and is then written together, each statement with a result of its own.
Nothing waits for company: a statement that finds nobody writing goes alone, at once. Where a group
fails by one of its statements, each is tried by itself, so that an error is its own. A group's rows
are locked in the order of their accounts, so that two processes never wait for each other.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row
from sqlalchemy.sql.dml import ReturningUpdate

from connector.errors import TemporarilyUnavailable, VaultSealed
from connector.store.database import Database
from connector.store.seal_counts import SealCounts

#: A group's locks are held together, so that it must not grow without end.
LARGEST_GROUP: Final = 64

Result = Row[Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    statement: ReturningUpdate[Any]
    parameters: Mapping[str, object]
    result: "asyncio.Future[Result]"


class GroupCommit:
    """Executes conditional updates of single rows.

    Args:
        database: where.
        on_row: is given each row that was written, in the transaction, before its commit.
        counts: counts what was sealed for it, in the same transaction.

    Attributes:
        groups: how many transactions there have been.
        statements: how many statements were in them.
    """

    def __init__(
        self,
        database: Database,
        on_row: Callable[[Connection, Row[Any]], None] | None = None,
        counts: SealCounts | None = None,
    ) -> None:
        self.groups = 0
        self.statements = 0
        self._counts = counts
        self._database = database
        self._on_row = on_row
        self._asked: list[_Asked] = []
        self._writer: asyncio.Task[None] | None = None

    async def execute(
        self, statement: ReturningUpdate[Any], parameters: Mapping[str, object]
    ) -> Result:
        """Execute an ``UPDATE … RETURNING`` of one row; returns when it is committed.

        A caller that gives up does not undo what it asked for.

        Args:
            statement: to be executed.
            parameters: of it, ``of_account`` among them; those of the lease clock are added.

        Raises:
            TemporarilyUnavailable: the database cannot be had or failed.
            VaultSealed: it is damaged, or closed to us.
        """
        result = asyncio.get_running_loop().create_future()
        asked = _Asked(statement=statement, parameters=parameters, result=result)
        self._asked.append(asked)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name="group commit")
        return await asked.result

    async def _write_all(self) -> None:
        while self._asked:
            group = self._asked[:LARGEST_GROUP]
            del self._asked[:LARGEST_GROUP]
            self.groups += 1
            self.statements += len(group)
            group.sort(key=_order)  # those of one account stay as they came
            try:
                await self._write(group)
            except BaseException as error:
                for asked in group:
                    if not asked.result.done():
                        asked.result.set_exception(error)
                if not isinstance(error, Exception):
                    raise

    async def _write(self, group: list[_Asked]) -> None:
        try:
            rows = await self._database.transact(lambda connection: self._all(connection, group))
        except (TemporarilyUnavailable, VaultSealed):
            raise  # the database's failure, not a statement's: each alone would wait for it again
        except Exception:
            if len(group) == 1:
                raise
            for asked in group:
                await self._write_alone(asked)
            return
        if self._counts is not None:
            self._counts.committed()
        for asked, row in zip(group, rows, strict=True):
            if not asked.result.done():
                asked.result.set_result(row)

    async def _write_alone(self, asked: _Asked) -> None:
        try:
            await self._write([asked])
        except Exception as error:  # noqa: BLE001 - it is handed to who asked
            if not asked.result.done():
                asked.result.set_exception(error)

    def _all(self, connection: Connection, group: list[_Asked]) -> list[Result]:
        clock = self._database.clock_parameters()
        rows = [
            connection.execute(asked.statement, {**asked.parameters, **clock}).one_or_none()
            for asked in group
        ]
        for row in rows:
            if row is not None and self._on_row is not None:
                self._on_row(connection, row)
        if self._counts is not None:
            self._counts.within(connection)
        return rows


def _order(asked: _Asked) -> str:
    return str(asked.parameters["of_account"])
