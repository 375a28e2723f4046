"""Calls a user's function and writes what it yields."""

import contextlib
import inspect
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import cast

from connector.credential import CredentialSource
from connector.jobs.channel import Message
from connector.jobs.context import JobContext
from connector.jobs.destinations.destination import Record
from connector.jobs.destinations.records import UnusableRecord, take_record
from connector.jobs.destinations.rejecting import Rejected, reject
from connector.jobs.destinations.stream import State
from connector.jobs.user_module import load_function
from connector.jobs.writing import Writer
from connector.resource import make_auth


class FunctionPull:
    """One call of a user's function.

    Args:
        context: what the function is given.
        writer: takes what it yields.
        key: the fields that identify a record.
    """

    def __init__(self, context: JobContext, writer: Writer, key: tuple[str, ...]) -> None:
        self.context = context
        self._writer = writer
        self._key = key
        self._pending: list[Record] = []
        self._rejected: list[Rejected] = []

    async def run(self, run: str, folder: Path, api: Message, source: CredentialSource) -> None:
        """Call the function and write what it yields.

        Args:
            run: ``module:function``.
            folder: where modules are looked for first.
            api: ``base_url`` of the provider's API, and ``proxy`` and ``ca_file`` of every call.
            source: where the function's tokens come from.
        """
        import httpx2  # 100 ms; the destination is open by now

        from connector.jobs.leaving import Leaving

        function = load_function(run, str(folder))
        auth = make_auth(self.context.account, source)
        base_url = cast("str", api["base_url"] or "")
        leaving = Leaving(
            proxy=cast("str | None", api["proxy"]), ca_file=cast("str | None", api["ca_file"])
        )
        options = leaving.options()
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            async with httpx2.AsyncClient(auth=auth, base_url=base_url, **options) as client:
                await self._take(function(client, self.context))
        else:
            with httpx2.Client(auth=auth, base_url=base_url, **options) as client:
                await self._take(function(client, self.context))
        self.context.checkpoint = None  # it has come to its end
        self._commit()

    async def _take(self, result: object) -> None:
        """Take records from whatever the function gives: a generator, a list, or nothing."""
        if inspect.isawaitable(result):
            result = await result
        if result is None:
            return
        if isinstance(result, AsyncIterator):
            async with _closing(result) as items:
                async for item in items:
                    self._add(item)
        elif isinstance(result, Iterable) and not isinstance(result, (str, bytes, Mapping)):
            try:
                for item in result:
                    self._add(item)
            finally:
                if inspect.isgenerator(result):
                    result.close()
        else:
            raise UnusableRecord(f"the function gave {type(result).__name__}, not records")

    def _add(self, item: object) -> None:
        """Take one record, or a batch of them, which is committed at once."""
        if isinstance(item, Mapping):
            self._take_record(item)
            if len(self._pending) + len(self._rejected) >= self._writer.batch_size:
                self._commit()
            return
        if not isinstance(item, Iterable) or isinstance(item, (str, bytes)):
            raise UnusableRecord(f"the function yielded {type(item).__name__}, not a record")
        # nobody changes a list before it is committed; what makes records may use one for all
        take = self._take_as_it_is if type(item) is list else self._take_record
        for record in item:
            take(record)
        self._commit()

    def _take_as_it_is(self, record: object) -> None:
        """Take a record without a copy of it, or set it aside."""
        if type(record) is not dict:
            self._take_record(record)
        elif (fault := self._writer.fault_of(record)) is None:
            self._pending.append(record)
        else:
            self._rejected.append(reject(record, fault))

    def _take_record(self, record: object) -> None:
        """Copy a record, or set it aside."""
        try:
            self._pending.append(take_record(record, self._key))
        except UnusableRecord as error:
            self._rejected.append(reject(record, str(error)))

    def _commit(self) -> None:
        state = State(cursor=self.context.cursor, checkpoint=self.context.checkpoint)
        self._writer.commit(self._pending, state, self._rejected)
        self._pending, self._rejected = [], []


@contextlib.asynccontextmanager
async def _closing(result: AsyncIterator[object]) -> AsyncIterator[AsyncIterator[object]]:
    """Close a function that is not run to its end, where it can be."""
    try:
        yield result
    finally:
        if inspect.isasyncgen(result):
            await result.aclose()
