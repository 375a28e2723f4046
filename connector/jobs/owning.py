"""The owner of a run: says that it is there, until the run ends or is not its own."""

import asyncio
import logging
from collections.abc import Coroutine

from connector.errors import ConnectorError
from connector.jobs.child_run import ChildRun
from connector.jobs.endings import figures, summed
from connector.jobs.order import Result
from connector.jobs.run_figures import UnderWay
from connector.jobs.run_log import RunLog
from connector.store.queued_runs import QueuedRuns
from connector.store.run_rows import Run

logger = logging.getLogger(__name__)


async def until_taken_over(
    queue: QueuedRuns, run: Run, child: ChildRun, here: UnderWay, log: RunLog
) -> Result | None:
    """Run a child to its end; None: its run was taken over, and it was killed."""
    work = asyncio.create_task(child.run())
    beats = asyncio.create_task(_beat(queue, run, here, log))
    try:
        await asyncio.wait({work, beats}, return_when=asyncio.FIRST_COMPLETED)
        return await work if work.done() else None
    finally:
        for task in (work, beats):
            task.cancel()
        await asyncio.gather(work, beats, return_exceptions=True)


async def to_its_end(work: Coroutine[None, None, None]) -> None:
    """Do something to its end, though whoever waits for it is cancelled: then that comes after it.

    What is closed once all runs have ended, the store among it, is needed until then.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


async def _beat(queue: QueuedRuns, run: Run, here: UnderWay, log: RunLog) -> None:
    """Say again and again that we are there; returns when the run is not ours any more."""
    while True:
        await asyncio.sleep(queue.heartbeat)
        try:
            told = summed(run, figures(here.result))
            if not await queue.beat(run, told, here.whereabouts().dump()):
                return
            await log.flush()
        except ConnectorError as error:
            extra = {"job": run.job, "account": run.account, "run": run.id}
            logger.warning(str(error), extra={"action": "run.no_heartbeat", **extra})
