"""Five thousand runs that are due at a start: spread out by jitter, and few go on at a time."""

import asyncio
import secrets
from collections import Counter

import pytest
from sqlalchemy import insert, select, text

from connector.account_name import parse_glob
from connector.jobs.places import Limits
from connector.jobs.queue import RunQueue
from connector.jobs.run import RunEnding
from connector.jobs.slots import Slots
from connector.runtime import Runtime
from connector.schedule import parse_schedule
from connector.settings import JobSettings
from connector.store.history_tables import RunRow
from connector.store.run_rows import Run
from connector.store.tables import AccountRow
from tests.unit.jobs.bench import Jobs
from tests.unit.jobs.test_queue import Executed, begun, executing
from tests.unit.workbench import NOW, Workbench

DUE = 5000
#: So many of them are executed here: each takes some milliseconds.
EXECUTED = 300
JITTER = 600.0
MINUTES = 10
#: Of one provider at once, and in all.
CAP, IN_ALL = 8, 16
SLOT = NOW // 3600 * 3600


class Counted:
    """Counts how many runs of each provider go on at once; after so many none ends any more.

    Attributes:
        most: by provider.
        runs: by account, how often one was begun for it.
    """

    def __init__(self, runner: Executed) -> None:
        self.most = Counter[str]()
        self.runs = Counter[str]()
        self._now = Counter[str]()
        self._may_end = runner.may_end
        self._execute = runner.execute
        runner.execute = self.execute  # type: ignore[method-assign]

    async def execute(self, job: JobSettings, run: Run) -> RunEnding:
        provider = run.account.partition("/")[0]
        self.runs[run.account] += 1
        self._now[provider] += 1
        self.most |= self._now
        if self.runs.total() >= EXECUTED:
            self._may_end.clear()  # those that are begun now end no more
        try:
            return await self._execute(job, run)
        finally:
            self._now[provider] -= 1


@pytest.fixture
async def accounts(runtime: Runtime) -> None:
    """Copies of one account, for to connect thousands takes minutes; and one of another provider.

    Nobody asks for their tokens.
    """
    async with runtime.database.write() as connection:
        (row,) = (await connection.execute(select(*AccountRow.__table__.columns))).mappings()  # type: ignore[attr-defined]
        numbers = range(DUE - 1)
        copies = [{"id": secrets.token_hex(8), "name": f"acme/{number:04}"} for number in numbers]
        copies.append({"id": "other", "name": "other/one", "provider": "other"})
        await connection.execute(insert(AccountRow), [{**row, **copy} for copy in copies])


async def queued(runtime: Runtime) -> list[float]:
    """Give from when on each run may begin."""
    query = select(RunRow.queued_at).where(text("outcome = 'queued' AND job = 'pull'"))  # type: ignore[call-overload]
    async with runtime.database.read() as connection:
        return list((await connection.execute(query)).scalars())


@pytest.mark.usefixtures("accounts")
@pytest.mark.timeout(120)
async def test_they_are_spread_out_and_a_provider_has_few_at_once(
    bench: Workbench, runtime: Runtime, jobs: Jobs
) -> None:
    hourly = parse_schedule("every 1h")
    job = jobs.job(schedule=hourly, jitter=JITTER, concurrent_runs=1024)
    other = jobs.job(name="other", accounts=parse_glob("other/*"))
    declared = {job.name: job, other.name: other}
    runner = executing(jobs)
    counted = Counted(runner)
    limits = Limits(in_all=IN_ALL, for_provider={"acme": CAP, "other": CAP})
    queue = RunQueue(runner, declared, limits, now=bench.clock.now)
    await runtime.runs.marks.set(job.name, SLOT - 3600, now=NOW)
    await Slots(
        declared, runner, queue.put_slot, runtime.runs.marks, now=bench.clock.now
    ).catch_up()

    waits = [moment - NOW for moment in await queued(runtime)]
    assert len(waits) == DUE
    assert 0 <= min(waits) <= max(waits) <= JITTER
    by_minute = Counter(int(wait // 60) for wait in waits)
    assert all(350 < by_minute[minute] < 650 for minute in range(MINUTES)), by_minute
    await begun(queue)
    assert len(counted.runs) == 0, "each waits for its own moment"

    bench.clock.advance(JITTER)
    await begun(queue)
    assert counted.most == {"acme": CAP}
    await queue.put_slot(other, await runner.accounts_of(other), SLOT)
    await begun(queue)
    assert counted.most == {"acme": CAP, "other": 1}, "who is due at another provider goes at once"
    runner.may_end.set()
    async with asyncio.timeout(60):
        while counted.runs.total() < EXECUTED:
            await asyncio.wait(queue._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            await begun(queue)
    assert counted.most == {"acme": CAP, "other": 1}
    assert set(counted.runs.values()) == {1}
    left = await queued(runtime)
    assert len(left) + counted.runs.total() == DUE + 1, "none is lost"
    await queue.aclose()
    runner.may_end.set()
