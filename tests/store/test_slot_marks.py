"""The last slot of each job; and what follows a run, queued with its end."""

import pytest

from connector.store.owner import new_owner
from connector.store.queued_runs import Wish
from connector.store.runs import Ending, Run
from connector.store.slot_marks import JobMark, SlotMarks
from connector.testing import SOME_TIME, Stores

DUE = SOME_TIME - 60
SUCCESS = Ending(outcome="succeeded")


@pytest.fixture
def marks(stores: Stores) -> SlotMarks:
    return SlotMarks(stores.database)


async def test_a_job_that_never_had_a_slot_has_no_mark(marks: SlotMarks) -> None:
    assert await marks.all() == {}


async def test_a_mark_goes_forward_only(marks: SlotMarks) -> None:
    for slot in (DUE, DUE + 30, DUE + 10):
        await marks.set("pull", slot, now=SOME_TIME)
    assert await marks.all() == {"pull": JobMark(slot_at=DUE + 30)}


async def test_a_mark_of_a_clock_that_was_wrong_goes_back(marks: SlotMarks) -> None:
    await marks.set("pull", SOME_TIME + 10**8, now=SOME_TIME + 10**8)
    await marks.set("pull", DUE, now=SOME_TIME)
    assert (await marks.all())["pull"].slot_at == DUE


async def test_the_moment_of_resuming_is_the_last_slot(stores: Stores, marks: SlotMarks) -> None:
    await marks.set("pull", DUE, now=SOME_TIME)
    await stores.runs.pause("pull", now=SOME_TIME)
    assert await marks.all() == {"pull": JobMark(slot_at=DUE, is_paused=True)}
    await stores.runs.resume("pull", now=SOME_TIME + 500)
    await stores.runs.resume("pull", now=SOME_TIME + 900)  # it is not paused
    assert await marks.all() == {"pull": JobMark(slot_at=SOME_TIME + 500)}


class TestFollowers:
    @pytest.fixture(autouse=True)
    async def _prepared(self, stores: Stores) -> None:
        await stores.runs.queue.prepare()

    async def _run(self, stores: Stores) -> Run:
        run = await stores.runs.claim("first", "acme/one", DUE, owner=new_owner(), now=SOME_TIME)
        assert run is not None
        return run

    async def _of(self, stores: Stores, job: str) -> list[tuple[str, float | None, str]]:
        found = await stores.runs.history(job, limit=9)
        return [(run.account, run.due_at, run.outcome) for run in found]

    async def test_the_same_slot_is_queued_with_the_end(self, stores: Stores) -> None:
        run = await self._run(stores)
        wishes = {"second": Wish(account="acme/one"), "third": Wish(account="acme/one")}
        told = await stores.runs.succeed(run, SUCCESS, wishes, now=SOME_TIME)
        assert told == {"second": "queued", "third": "queued"}
        assert await self._of(stores, "first") == [("acme/one", DUE, "succeeded")]
        for job in ("second", "third"):
            assert await self._of(stores, job) == [("acme/one", DUE, "queued")]

    async def test_it_is_queued_once(self, stores: Stores) -> None:
        run = await self._run(stores)
        wishes = {"second": Wish(account="acme/one")}
        await stores.runs.succeed(run, SUCCESS, wishes, now=SOME_TIME)
        assert await stores.runs.succeed(run, SUCCESS, wishes, now=SOME_TIME) is None
        assert len(await self._of(stores, "second")) == 1

    async def test_neither_end_nor_follower_where_one_of_them_fails(self, stores: Stores) -> None:
        """What cannot be queued leaves the run under way: nothing is lost between the two."""
        run = await self._run(stores)
        wishes = {"second": Wish(account="acme/one", delay=object())}  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await stores.runs.succeed(run, SUCCESS, wishes, now=SOME_TIME)
        assert await self._of(stores, "first") == [("acme/one", DUE, "running")]
        assert await self._of(stores, "second") == []

    async def test_a_paused_follower_is_not_queued(self, stores: Stores) -> None:
        run = await self._run(stores)
        await stores.runs.pause("second", now=SOME_TIME)
        wishes = {"second": Wish(account="acme/one"), "third": Wish(account="acme/one")}
        told = await stores.runs.succeed(run, SUCCESS, wishes, now=SOME_TIME)
        assert told == {"second": "paused", "third": "queued"}
        assert await self._of(stores, "second") == []

    async def test_a_follower_under_way_is_left_out(self, stores: Stores) -> None:
        run = await self._run(stores)
        other = await stores.runs.claim(
            "second", "acme/one", DUE - 60, owner=new_owner(), now=SOME_TIME
        )
        assert other is not None
        wishes = {"second": Wish(account="acme/one")}
        told = await stores.runs.succeed(run, SUCCESS, wishes, now=SOME_TIME)
        assert told == {"second": "left_out"}
        assert (await self._of(stores, "first"))[0][2] == "succeeded"

    async def test_who_was_taken_over_starts_nothing(self, stores: Stores) -> None:
        run = await self._run(stores)
        await stores.runs.finish(run, Ending(outcome="interrupted"), now=SOME_TIME)
        wishes = {"second": Wish(account="acme/one")}
        assert await stores.runs.succeed(run, SUCCESS, wishes, now=SOME_TIME) is None
        assert await self._of(stores, "second") == []


async def test_a_backfill_goes_on_beside_the_schedule(stores: Stores) -> None:
    claim = stores.runs.claim
    run = await claim("pull", "acme/one", DUE, owner=new_owner(), now=SOME_TIME)
    lane = "2025-01-01/2025-02-01"
    backfill = await claim("pull", "acme/one", None, owner=new_owner(), now=SOME_TIME, lane=lane)
    assert run is not None
    assert backfill is not None
    assert backfill.lane == lane
    again = await claim("pull", "acme/one", None, owner=new_owner(), now=SOME_TIME, lane=lane)
    assert again is None
    other = await claim("pull", "acme/one", None, owner=new_owner(), now=SOME_TIME, lane="a/b")
    assert other is not None
