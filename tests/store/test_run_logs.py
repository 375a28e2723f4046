"""What runs have said: in order, over all attempts, the first lines and the newest ones."""

from connector.jobs.run_log import LONGEST_TEXT, RunLog
from connector.store.owner import new_owner
from connector.store.run_logs import FIRST_LINES, NEWEST_LINES, RunLogs
from connector.store.run_pruning import RunPruning
from connector.store.runs import Ending, Run
from connector.testing import SOME_TIME, FixedClock, Stores


async def _claim(stores: Stores) -> Run:
    run = await stores.runs.claim("pull", "acme/one", None, owner=new_owner(), now=SOME_TIME)
    assert run is not None
    return run


async def _numbers(stores: Stores, run: Run) -> list[int]:
    return [line.number for line in await RunLogs(stores.database).of_run(run.id)]


async def test_lines_are_kept_in_order(stores: Stores, clock: FixedClock) -> None:
    run = await _claim(stores)
    log = RunLog(stores.runs.logs, run, clock)
    log.add("info", "one")
    log.add("stdout", "two\nand its\rrest")
    await log.flush()
    log.add("warning", "odd: \0 \ud800 é")
    await log.flush()
    await log.flush()
    lines = await stores.runs.logs.of_run(run.id)
    assert [(line.number, line.kind, line.text) for line in lines] == [
        (1, "info", "one"),
        (2, "stdout", "two and its rest"),
        (3, "warning", "odd: \N{REPLACEMENT CHARACTER} ? é"),
    ]
    assert {line.at for line in lines} == {clock()}


async def test_a_long_line_is_cut(stores: Stores, clock: FixedClock) -> None:
    run = await _claim(stores)
    log = RunLog(stores.runs.logs, run, clock)
    log.add("info", "x" * 5000)
    await log.flush()
    (line,) = await stores.runs.logs.of_run(run.id)
    assert line.text == "x" * (LONGEST_TEXT - 1) + "…"


async def test_the_first_and_the_newest_stay(stores: Stores, clock: FixedClock) -> None:
    run = await _claim(stores)
    log = RunLog(stores.runs.logs, run, clock)
    for group in range(7):
        for number in range(300):
            log.add("info", f"{group}/{number}")
        await log.flush()
    first, newest = range(1, FIRST_LINES + 1), range(2101 - NEWEST_LINES, 2101)
    assert await _numbers(stores, run) == [*first, *newest]


async def test_what_comes_between_two_writes_is_bounded(stores: Stores, clock: FixedClock) -> None:
    run = await _claim(stores)
    log = RunLog(stores.runs.logs, run, clock)
    for number in range(100_000):
        log.add("info", str(number))
    await log.flush()
    lines = await stores.runs.logs.of_run(run.id)
    assert len(lines) == FIRST_LINES + NEWEST_LINES
    assert (lines[-1].number, lines[-1].text) == (100_000, "99999")


async def test_the_next_attempt_goes_on_after_the_last(stores: Stores, clock: FixedClock) -> None:
    run = await _claim(stores)
    for attempt in range(2):
        log = RunLog(stores.runs.logs, run, clock)
        log.add("info", f"attempt {attempt}")
        await log.flush()
    assert await _numbers(stores, run) == [1, 2]


async def test_who_was_taken_over_writes_nothing(stores: Stores, clock: FixedClock) -> None:
    run = await _claim(stores)
    log = RunLog(stores.runs.logs, run, clock)
    log.add("info", "one")
    await stores.runs.finish(run, Ending(outcome="failed"), now=SOME_TIME)
    await log.flush()
    assert await _numbers(stores, run) == []


async def test_a_log_goes_with_its_run(stores: Stores, clock: FixedClock) -> None:
    runs = []
    for _ in range(2):
        run = await _claim(stores)
        log = RunLog(stores.runs.logs, run, clock)
        log.add("info", "one")
        await log.flush()
        await stores.runs.finish(run, Ending(outcome="succeeded"), now=SOME_TIME)
        runs.append(run)
    removed, kept = sorted(runs, key=lambda run: run.id)
    assert await RunPruning(stores.database).prune(60, now=SOME_TIME + 3600) == 1
    assert await _numbers(stores, removed) == []
    assert await _numbers(stores, kept) == [1]
