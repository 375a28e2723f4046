"""The change watch: what another process commits is seen, and a failure is not the end of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError

from connector.errors import TemporarilyUnavailable
from connector.store.changes import ChangeWatch
from connector.testing import Stores

from .conftest import OpenDatabase
from .worker import Worker


@pytest.fixture
async def watch(stores: Stores) -> AsyncIterator[ChangeWatch]:
    one = ChangeWatch(stores.database)
    yield one
    await one.aclose()
    await one.aclose()


async def test_at_first_everything_may_have_changed(watch: ChangeWatch) -> None:
    assert await watch.has_changed()


async def test_without_a_commit_nothing_has_changed(watch: ChangeWatch, stores: Stores) -> None:
    await watch.has_changed()
    await stores.accounts.all()
    assert await watch.has_changed() is not stores.database.is_sqlite


async def test_a_commit_of_another_process_is_seen(
    watch: ChangeWatch, stores: Stores, worker: Worker, address: str
) -> None:
    await watch.has_changed()
    worker.order("begin_account", url=address, name="acme/one")
    worker.wait_until_ready()
    await watch.has_changed()
    worker.go()
    worker.result()
    assert await watch.has_changed()
    if stores.database.is_sqlite:
        assert not await watch.has_changed()


async def test_a_commit_of_this_process_is_seen(watch: ChangeWatch, stores: Stores) -> None:
    await watch.has_changed()
    await stores.runs.pause("job", now=1.0)
    assert await watch.has_changed()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_after_a_failure_everything_may_have_changed(
    watch: ChangeWatch, stores: Stores
) -> None:
    await watch.has_changed()
    assert not await watch.has_changed()
    engine = stores.database.engine

    def fail(*_details: object) -> None:
        raise OperationalError("PRAGMA data_version", {}, Exception("disk I/O error"))

    event.listen(engine.sync_engine, "before_cursor_execute", fail)
    for _ in range(3):
        with pytest.raises(TemporarilyUnavailable, match="disk I/O error"):
            await watch.has_changed()
    event.remove(engine.sync_engine, "before_cursor_execute", fail)
    assert await watch.has_changed(), "what happened meanwhile is not known"
    assert not await watch.has_changed()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_a_watcher_that_is_stopped_half_way_can_be_asked_again(
    watch: ChangeWatch, stores: Stores
) -> None:
    for ticks in range(8):
        asking = asyncio.create_task(watch.has_changed())
        for _ in range(ticks):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert await watch.has_changed() in {True, False}
    await stores.runs.pause("job", now=1.0)
    assert await watch.has_changed()


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_it_keeps_no_snapshot_that_would_hold_up_the_log(
    watch: ChangeWatch, stores: Stores, open_database: OpenDatabase
) -> None:
    await watch.has_changed()
    await stores.runs.pause("job", now=1.0)
    async with open_database().engine.connect() as connection:
        await connection.execution_options(connector_begin="")
        answer = await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        assert answer.one()[0] == 0, "a reader is in the way"
