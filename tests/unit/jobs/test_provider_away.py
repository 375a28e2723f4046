"""A provider that is away for two hours: nothing piles up, no account ends, and all go on."""

from collections import Counter

from connector.account import Active
from connector.jobs.slots import Slots
from connector.runtime import Runtime
from connector.schedule import parse_schedule
from tests.unit.jobs.bench import Jobs
from tests.unit.jobs.test_queue import drained
from tests.unit.workbench import ACCOUNT, NOW, Workbench

FIVE = 300.0
#: Slots of two hours.
AWAY = 24
#: When a run is tried, in seconds after its slot; then the next slot is near.
TRIES = (0, 60, 120, 240)
#: An hour after the first slot.
BEGIN = 13
#: A provider that is back is asked again minutes later.
AFTER = 3
FIRST = NOW // FIVE * FIVE + FIVE
NAMES = (ACCOUNT, "acme/one", "acme/two")
CODE = """
def pull(api, context):
    api.get("me").raise_for_status()
    context.cursor = (context.cursor or 0) + 1
    yield [{"id": context.cursor, "name": context.account}]
"""


async def test_runs_fail_one_a_slot_and_go_on_where_they_were(
    bench: Workbench, runtime: Runtime, jobs: Jobs
) -> None:
    for name in NAMES[1:]:
        await bench.connect(runtime, name)
    jobs.write(CODE)
    schedule = parse_schedule("every 5m")
    job = jobs.job(schedule=schedule)
    queue = jobs.make_queue(job)
    slots = Slots({"pull": job}, jobs.runner, queue.put_slot, runtime.runs.marks, now=runtime.now)

    async def run_slot(number: int) -> None:
        due = FIRST + number * FIVE
        bench.clock.advance(due - bench.clock.now())
        await slots.put_due(job, schedule, due)
        for seconds in TRIES:
            bench.clock.advance(due + seconds - bench.clock.now())
            await drained(queue)

    await run_slot(0)
    bench.simulator.state.expire_access_tokens("ada")
    bench.clock.advance(3600)
    bench.fault("status", times=None)
    for number in range(AWAY):
        await run_slot(BEGIN + number)
    assert bench.refreshes < AWAY * len(NAMES), "not even one for each run"
    assert {type(one.state) for one in await runtime.accounts.all()} == {Active}
    bench.simulator.faults.clear()
    for number in range(AFTER):
        await run_slot(BEGIN + AWAY + number)

    history = await runtime.runs.history("pull", limit=999)
    slots_of = Counter((run.account, run.due_at) for run in history)
    assert set(slots_of.values()) == {1}
    assert len(slots_of) == len(NAMES) * (1 + AWAY + AFTER), "nothing is run twice"
    last = FIRST + (BEGIN + AWAY) * FIVE
    away = [run for run in history if FIRST < (run.due_at or 0) < last]
    assert {run.outcome for run in away} == {"failed"}
    assert all("HTTP 503" in str(run.error) for run in away)
    newest = [run for run in history if run.due_at == last + (AFTER - 1) * FIVE]
    assert [run.outcome for run in newest] == ["succeeded"] * len(NAMES)
    succeeded = Counter(run.account for run in history if run.outcome == "succeeded")
    for name in NAMES:
        ids = [number for number, whose in jobs.rows("id, name") if whose == name]
        assert ids == list(range(1, succeeded[name] + 1)), "each goes on at its cursor"
