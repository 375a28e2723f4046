"""The queue of runs in the database: a slot once, a run by one process at a time."""

import asyncio
import time

import pytest
from sqlalchemy import Connection, event, func, inspect, select, text, update
from sqlmodel import col

from connector.errors import ConfigurationError
from connector.store.history_tables import RunRow
from connector.store.lost_runs import Lost
from connector.store.open_runs import renaming_of_runs
from connector.store.owner import new_owner
from connector.store.procrastinate_line import queue_name
from connector.store.queued_runs import QueuedRuns, Wish
from connector.store.run_lines import Openings
from connector.store.run_rows import Ending, Figures, Run
from connector.store.runs import RunStore
from connector.testing import SOME_TIME, Stores, connected

from .conftest import OpenDatabase
from .plans import explain

DUE = SOME_TIME - 60
NOW = SOME_TIME
ONE = "acme/one"


@pytest.fixture
async def queue(stores: Stores) -> QueuedRuns:
    await stores.runs.queue.prepare()
    await connected(stores, ONE)
    return stores.runs.queue


def openings(*places: tuple[str, str], full: tuple[str, ...] = ()) -> Openings:
    return Openings(
        places=places or (("insights", "acme"),),
        providers=frozenset({"acme", "other"}),
        full=frozenset(full),
    )


async def put(queue: QueuedRuns, *accounts: str, due_at: float | None = DUE) -> dict[str, Run]:
    wishes = [Wish(account=name, provider="acme") for name in accounts or (ONE,)]
    return await queue.put("insights", wishes, due_at=due_at, now=NOW)


async def take(queue: QueuedRuns, which: Openings | None = None, now: float = NOW) -> Run | None:
    taken = await queue.take(
        which or openings(), owner=new_owner(), now=now, deadlines={"insights": 60.0}
    )
    return None if taken is None else taken[0]


async def silent(stores: Stores, seconds: float = 21) -> None:
    async with stores.database.write() as connection:
        spoke_at = col(RunRow.heartbeat_at) - seconds
        values = {"heartbeat_at": spoke_at, "owner": "another:1:1:1:host"}
        await connection.execute(update(RunRow).values(values))


async def last(stores: Stores) -> Run:
    (run,) = await stores.runs.history(None, limit=1)
    return run


async def waiting_jobs(stores: Stores) -> list[tuple[str, str, str]]:
    """Give queue, status and run of procrastinate's jobs; nothing else stands in them."""
    async with stores.database.read() as connection:
        query = "SELECT queue_name, status, args, lock FROM procrastinate.procrastinate_jobs"
        rows = (await connection.execute(text(query))).all()
    assert all(set(row.args) == {"run"} and row.lock is None for row in rows)
    return [(row.queue_name, row.status, row.args["run"]) for row in rows]


async def test_a_run_goes_from_the_queue_to_its_end(stores: Stores, queue: QueuedRuns) -> None:
    queued = (await put(queue))[ONE]
    assert await last(stores) == queued
    assert (queued.outcome, queued.attempt, queued.queued_at) == ("queued", 1, NOW)
    run = await take(queue, now=NOW + 5)
    assert run is not None
    assert (run.id, run.outcome, run.started_at) == (queued.id, "running", NOW + 5)
    assert (run.deadline_at, run.due_at) == (NOW + 65, DUE)
    assert run.host
    assert await last(stores) == run
    figures = Figures(records=3, pages=2, bytes=5_000_000_000, retries=1, waited=0.5)
    assert await queue.beat(run, figures, '{"text": "half é\\ud83d"}')
    beaten = await last(stores)
    assert (beaten.records, beaten.pages, beaten.bytes) == (3, 2, 5_000_000_000)
    assert (beaten.retries, beaten.waited) == (1, 0.5)
    assert beaten.place == '{"text": "half é\\ud83d"}'
    assert await stores.runs.finish(run, Ending(outcome="succeeded", records=4), now=NOW + 9)
    assert await take(queue) is None
    assert ((await last(stores)).outcome, (await last(stores)).records) == ("succeeded", 4)


async def test_a_slot_is_queued_once_and_a_job_has_one_open_run(queue: QueuedRuns) -> None:
    together = await asyncio.gather(*(put(queue, ONE, "acme/two") for _ in range(4)))
    assert sorted(name for one in together for name in one) == [ONE, "acme/two"]
    assert await put(queue, due_at=DUE + 60) == {}
    assert await put(queue, due_at=None) == {}
    assert await queue.have_slot("insights", DUE, [ONE, "acme/none"]) == {ONE}
    assert await queue.have_slot("insights", DUE + 60, [ONE]) == frozenset()


async def test_processes_take_each_run_once(
    stores: Stores, queue: QueuedRuns, open_database: OpenDatabase
) -> None:
    names = [f"acme/{number}" for number in range(20)]
    for name in names:
        await connected(stores, name)
    queued = await put(queue, *names)
    others = [RunStore(open_database()).queue for _ in range(3)]

    async def take_all(one: QueuedRuns) -> list[str]:
        found = []
        while (run := await take(one)) is not None:
            found.append(run.id)
        return found

    taken = await asyncio.gather(*map(take_all, others))
    assert sorted(run for one in taken for run in one) == sorted(one.id for one in queued.values())


async def test_only_what_there_is_a_place_for_is_taken(stores: Stores, queue: QueuedRuns) -> None:
    await connected(stores, "acme/two")
    await put(queue, ONE, "acme/two")
    assert await take(queue, openings(("other", "acme"), ("insights", "other"))) is None
    assert await take(queue, Openings()) is None
    first = await take(queue, openings(full=(ONE,)))
    assert first is not None
    assert first.account == "acme/two"
    assert await take(queue, openings(full=(ONE,))) is None
    if stores.database.is_sqlite:
        assert await take(queue) is not None
    else:  # it is looked at again in a second
        (job,) = await waiting_jobs(stores)
        assert job[1] == "todo"


async def test_an_account_that_has_gone_is_taken_all_the_same(queue: QueuedRuns) -> None:
    await queue.put("insights", [Wish(account="x/y", provider="")], due_at=DUE, now=NOW)
    assert await take(queue) is None
    assert await take(queue, openings(("insights", ""))) is not None


async def test_what_somebody_asked_for_goes_before_a_schedule(
    stores: Stores, queue: QueuedRuns
) -> None:
    await connected(stores, "acme/two")
    await put(queue)
    asked = (await put(queue, "acme/two", due_at=None))["acme/two"]
    run = await take(queue)
    assert run is not None
    assert run.id == asked.id


async def test_a_lost_run_is_put_back_once_and_its_owner_writes_nothing(
    stores: Stores, queue: QueuedRuns, open_database: OpenDatabase
) -> None:
    await put(queue)
    run = await take(queue)
    assert run is not None
    assert await queue.lost.sweep(owner=new_owner(), now=NOW) == []
    await silent(stores)
    assert await queue.lost.sweep(owner="another:1:1:1:host", now=NOW) == [], "its own are not lost"
    sweepers = [RunStore(open_database()).queue for _ in range(4)]
    found = await asyncio.gather(*(one.lost.sweep(owner=new_owner(), now=NOW) for one in sweepers))
    lost: list[Lost] = [one for some in found for one in some]
    assert [(one.run.id, one.run.outcome, one.run.attempt) for one in lost] == [
        (run.id, "queued", 2)
    ]
    assert not await queue.beat(run, Figures())
    assert not await queue.release(run, Ending(outcome="interrupted"), now=NOW)
    assert not await stores.runs.finish(run, Ending(outcome="failed"), now=NOW)
    again = await take(queue, now=NOW + 30)
    assert again is not None
    assert (again.id, again.attempt, again.started_at) == (run.id, 2, run.started_at)
    assert not await queue.beat(run, Figures()), "an older attempt"
    assert await queue.beat(again, Figures())
    assert await take(queue) is None


async def test_a_run_that_is_released_waits_under_the_same_attempt(
    stores: Stores, queue: QueuedRuns
) -> None:
    await put(queue)
    run = await take(queue)
    assert run is not None
    ending = Ending(outcome="interrupted", records=7, error="stopped", cursor="2027")
    assert await queue.release(run, ending, now=NOW + 9)
    released = await last(stores)
    assert (released.outcome, released.attempt, released.records) == ("queued", 1, 7)
    assert (released.queued_at, released.error, released.finished_at) == (NOW + 9, "stopped", None)
    again = await take(queue, now=NOW + 9)
    assert again is not None
    assert (again.id, again.attempt) == (run.id, 1)


async def test_a_person_takes_over_what_is_lost_at_once(stores: Stores, queue: QueuedRuns) -> None:
    await put(queue)
    lost = await take(queue)
    assert lost is not None
    await silent(stores)
    run = await stores.runs.claim("insights", ONE, None, owner=new_owner(), now=NOW)
    assert run is not None
    assert (run.id, run.outcome, run.attempt) == (lost.id, "running", 2)
    assert await take(queue) is None
    assert (await last(stores)).outcome == "running"


async def test_a_name_with_any_characters_has_a_queue_of_its_own() -> None:
    long = "j" * 200
    names = {queue_name((long, "a")), queue_name((long, "b")), queue_name(("j" * 128, "a"))}
    assert len(names) == 3
    assert all(len(name) <= 128 for name in names)
    assert queue_name(("insights", "acme")) == "insights/acme"


class TestProcrastinate:
    @pytest.fixture(params=["postgres"])
    def kind(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    async def test_a_row_and_its_job_are_written_together_or_not_at_all(
        self, stores: Stores, queue: QueuedRuns
    ) -> None:
        queued = (await put(queue))[ONE]
        assert await waiting_jobs(stores) == [("insights/acme", "todo", queued.id)]

        def fail(_connection: Connection) -> None:
            raise ZeroDivisionError

        event.listen(stores.database.engine.sync_engine, "commit", fail)
        try:
            with pytest.raises(ZeroDivisionError):
                await put(queue, "acme/two")
        finally:
            event.remove(stores.database.engine.sync_engine, "commit", fail)
        assert len(await waiting_jobs(stores)) == 1
        assert len(await stores.runs.history(None, limit=9)) == 1

    async def test_no_job_outlives_its_run_in_the_queue(
        self, stores: Stores, queue: QueuedRuns
    ) -> None:
        await put(queue)
        run = await take(queue)
        assert run is not None
        assert await waiting_jobs(stores) == []
        await silent(stores)
        await queue.lost.sweep(owner=new_owner(), now=NOW)
        assert await waiting_jobs(stores) == [("insights/acme", "todo", run.id)]
        assert await stores.runs.claim("insights", ONE, None, owner="me", now=NOW) is not None
        assert await take(queue) is None
        assert await waiting_jobs(stores) == []
        async with stores.database.read() as connection:
            for table in ("jobs", "events", "workers"):
                count = text(f"SELECT count(*) FROM procrastinate.procrastinate_{table}")  # noqa: S608
                assert (await connection.execute(count)).scalar_one() == 0, table

    async def test_processes_that_start_at_once_make_the_schema_once(
        self, stores: Stores, open_database: OpenDatabase
    ) -> None:
        starting = [RunStore(open_database()).queue.prepare() for _ in range(4)]
        await asyncio.gather(*starting)

        def names(connection: Connection) -> list[str]:
            return inspect(connection).get_table_names()

        async with stores.database.read() as connection:
            ours = await connection.run_sync(names)
        assert [name for name in ours if name.startswith("procrastinate")] == []

    @pytest.mark.parametrize("how", ["emptied", "dropped", "of another version"])
    async def test_the_queue_is_made_anew_from_the_rows(
        self, stores: Stores, queue: QueuedRuns, how: str
    ) -> None:
        queued = (await put(queue))[ONE]
        statement = {
            "emptied": "TRUNCATE procrastinate.procrastinate_jobs CASCADE",
            "dropped": "DROP SCHEMA procrastinate CASCADE",
            "of another version": "COMMENT ON SCHEMA procrastinate IS"
            " 'Connector: the queue of runs, made by procrastinate 0.1'",
        }[how]
        async with stores.database.write() as connection:
            await connection.execute(text(statement))
        if how == "emptied":
            await queue.lost.sweep(owner=new_owner(), now=NOW)
        else:
            await queue.prepare()
        assert await waiting_jobs(stores) == [("insights/acme", "todo", queued.id)]

    async def test_what_is_put_in_line_anew_waits_for_its_moment(
        self, stores: Stores, queue: QueuedRuns
    ) -> None:
        await put(queue)
        run = await take(queue)
        assert run is not None
        now = time.time()
        ending = Ending(outcome="interrupted", error="it is tried again")
        assert await queue.release(run, ending, now=now, again_at=now + 1800)
        async with stores.database.write() as connection:
            await connection.execute(text("TRUNCATE procrastinate.procrastinate_jobs CASCADE"))
        await queue.lost.sweep(owner=new_owner(), now=now, longest_delay=1800)
        assert len(await waiting_jobs(stores)) == 1
        assert await take(queue, now=now) is None

    async def test_a_schema_of_another_program_is_left_alone(self, stores: Stores) -> None:
        await stores.runs.queue.prepare()
        async with stores.database.write() as connection:
            await connection.execute(text("COMMENT ON SCHEMA procrastinate IS NULL"))
        with pytest.raises(ConfigurationError, match="belongs to another program"):
            await stores.runs.queue.prepare()

    async def test_tables_of_another_program_in_the_public_schema_are_not_used(
        self, stores: Stores, queue: QueuedRuns
    ) -> None:
        async with stores.database.write() as connection:
            await connection.execute(text("CREATE TABLE procrastinate_jobs (id int)"))
        await put(queue)
        assert await take(queue) is not None

    async def test_the_search_path_is_as_before(self, stores: Stores, queue: QueuedRuns) -> None:
        async with stores.database.write() as connection:
            path = text("SELECT current_setting('search_path')")
            before = (await connection.execute(path)).scalar_one()
            await queue._line.repair(connection)
            assert (await connection.execute(path)).scalar_one() == before
        await put(queue)
        async with stores.database.read() as connection:
            assert (await connection.execute(path)).scalar_one() == before
            assert (
                await connection.execute(select(func.count()).select_from(RunRow))
            ).scalar() == 1


async def test_a_run_that_waits_is_not_that_of_another_account_of_the_same_name(
    stores: Stores, queue: QueuedRuns
) -> None:
    queued = (await put(queue))[ONE]
    other = (await put(queue, "acme/two"))["acme/two"]
    await connected(stores, "acme/two")
    await stores.accounts.forget(await stores.accounts.require(ONE))
    await connected(stores, ONE)
    taken = await take(queue)
    assert taken is not None
    assert (taken.id, await take(queue)) == (other.id, None)
    ended = {run.id: run for run in await stores.runs.history("insights", limit=9)}[queued.id]
    assert (ended.outcome, ended.error) == ("interrupted", "the account was forgotten")
    assert ended.finished_at is not None


async def test_one_that_is_tried_again_waits_for_its_moment(
    stores: Stores, queue: QueuedRuns
) -> None:
    await put(queue)
    run = await take(queue)
    assert run is not None
    now = time.time()  # Postgres goes by its own clock
    ending = Ending(outcome="interrupted", error="is tried again", records=7)
    assert await queue.release(run, ending, now=now, again_at=now + 1)
    assert (await last(stores)).queued_at == now + 1
    assert await take(queue, now=time.time()) is None
    async with asyncio.timeout(20):
        while (again := await take(queue, now=time.time())) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # polls what a clock has to reach
    assert time.time() >= now + 1
    assert (again.id, again.attempt, again.records) == (run.id, 1, 7)


async def test_one_that_waits_for_its_moment_is_begun_before_where_somebody_asks(
    stores: Stores, queue: QueuedRuns
) -> None:
    now = time.time()
    await queue.put("insights", [Wish(account=ONE, delay=1800)], due_at=DUE, now=now)
    assert await take(queue, now=now) is None
    assert list(await queue.hurry("insights", ["acme/other"], now=now)) == []
    hurried = await queue.hurry("insights", [ONE], now=now)
    assert hurried == {ONE: await last(stores)}
    assert hurried[ONE].queued_at == now
    assert await queue.hurry("insights", [ONE], now=now) == {}
    run = await take(queue, now=now)
    assert run is not None
    assert run.id == hurried[ONE].id
    assert await take(queue, now=now + 1800) is None


class TestForgotten:
    """A run that goes on while its account is forgotten is never one of the next account's."""

    async def test_it_is_over_when_its_owner_stops(self, stores: Stores, queue: QueuedRuns) -> None:
        await put(queue)
        run = await take(queue)
        assert run is not None
        await stores.accounts.forget(await stores.accounts.require(ONE))
        await connected(stores, ONE)
        ending = Ending(outcome="interrupted", error="the process was stopped", records=7)
        assert await queue.release(run, ending, now=NOW + 9)
        ended = await last(stores)
        assert (ended.outcome, ended.error) == ("interrupted", "the account was forgotten")
        assert (ended.finished_at, ended.records) == (NOW + 9, 7)
        assert await take(queue, now=NOW + 10) is None

    async def test_it_is_over_when_its_owner_is_gone(
        self, stores: Stores, queue: QueuedRuns
    ) -> None:
        await put(queue)
        assert await take(queue) is not None
        await stores.accounts.forget(await stores.accounts.require(ONE))
        await connected(stores, ONE)
        await silent(stores)
        assert await queue.lost.sweep(owner=new_owner(), now=NOW) != []
        assert (await last(stores)).outcome == "interrupted"
        assert await take(queue, now=NOW + 1) is None

    async def test_one_that_waits_for_a_later_moment_ends_now(
        self, stores: Stores, queue: QueuedRuns
    ) -> None:
        await put(queue)
        run = await take(queue)
        assert run is not None
        ending = Ending(outcome="interrupted", error="it is tried again")
        assert await queue.release(run, ending, now=NOW, again_at=NOW + 1800)
        await stores.accounts.forget(await stores.accounts.require(ONE))
        assert (await last(stores)).finished_at == stores.database.now() < NOW + 1800


class TestRenamed:
    async def test_a_run_that_is_open_goes_with_its_account(
        self, stores: Stores, queue: QueuedRuns
    ) -> None:
        queued = (await put(queue))[ONE]
        account = await stores.accounts.require(ONE)
        assert await stores.accounts.rename(account, "acme/new")
        run = await take(queue)
        assert run is not None
        assert (run.id, run.account) == (queued.id, "acme/new")
        renamed = await stores.accounts.require("acme/new")
        assert await stores.accounts.rename(renamed, "acme/newer")
        assert await stores.runs.account_of(run) == "acme/newer"
        assert await queue.beat(run, Figures(records=1))
        assert await stores.runs.finish(run, Ending(outcome="succeeded"), now=NOW)
        last_name = await stores.accounts.require("acme/newer")
        assert await stores.accounts.rename(last_name, ONE)
        assert (await last(stores)).account == ONE, "what is over goes with its account too"

    @pytest.mark.parametrize("is_over", [True, False])
    async def test_not_where_its_place_is_taken(
        self, stores: Stores, queue: QueuedRuns, *, is_over: bool
    ) -> None:
        """By a run of whoever had that name before."""
        before = await connected(stores, "acme/two")
        put_before = await put(queue, "acme/two", due_at=DUE if is_over else DUE - 60)
        run = await take(queue)
        assert run is not None
        if is_over:
            assert await stores.runs.finish(run, Ending(outcome="succeeded"), now=NOW)
        await stores.accounts.forget(before)
        await put(queue)
        assert await stores.accounts.rename(await stores.accounts.require(ONE), "acme/two")
        names = {one.id: one.account for one in await stores.runs.history(None, limit=9)}
        assert names.pop(put_before["acme/two"].id) == "acme/two"
        assert list(names.values()) == [ONE]

    async def test_what_stays_behind_is_not_that_of_the_next_account_of_its_name(
        self, stores: Stores, queue: QueuedRuns
    ) -> None:
        before = await connected(stores, "acme/two")
        await put(queue, "acme/two", due_at=DUE - 60)
        assert await take(queue) is not None
        await stores.accounts.forget(before)
        waiting = (await put(queue))[ONE]
        assert await stores.accounts.rename(await stores.accounts.require(ONE), "acme/two")
        await connected(stores, ONE)
        assert await take(queue, now=time.time()) is None
        (ended,) = await stores.runs.history(None, account=ONE, limit=9)
        assert (ended.id, ended.outcome) == (waiting.id, "interrupted")
        assert ended.error == "the account was given the name of one whose run goes on"

    @pytest.mark.parametrize("kind", ["sqlite"])  # an empty table of Postgres is read as a whole
    async def test_its_runs_are_not_compared_with_all_that_are_there(self, stores: Stores) -> None:
        """Years of two accounts' slots would else hold up every writer for minutes."""
        plan = await explain(stores.database, renaming_of_runs(ONE, "acme/two"))
        assert "(job=? AND account=? AND due_at=?)" in plan, plan


async def test_what_waits_for_a_schedule_is_not_begun_while_its_job_is_paused(
    stores: Stores, queue: QueuedRuns
) -> None:
    await connected(stores, "acme/two")
    queued = (await put(queue))[ONE]
    await stores.runs.pause("insights", now=NOW)
    # it is looked at again 5 s after this, on the database's clock
    assert await take(queue, now=NOW if stores.database.is_sqlite else time.time() - 4.9) is None
    asked = (await put(queue, "acme/two", due_at=None))["acme/two"]
    run = await take(queue)
    assert run is not None
    assert run.id == asked.id, "somebody wants it though it is paused"
    await stores.runs.resume("insights", now=NOW)
    async with asyncio.timeout(20):
        while (run := await take(queue)) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # polls what the database's clock has to reach
    assert run.id == queued.id
