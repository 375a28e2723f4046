"""A thread for calls that block, one after the other, that serves while the interpreter ends.

An executor takes nothing any more once the interpreter has begun to end; but just then what a
refresh has brought must still be written down.
"""

import asyncio
import contextlib
import queue
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class _Job:
    """A call, and who waits for it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.asked_at = time.monotonic()
        self.began_at = self.asked_at
        self.loop = asyncio.get_running_loop()
        self.result: asyncio.Future[Any] = self.loop.create_future()

    def run(self) -> None:
        value, failure = None, None
        self.began_at = time.monotonic()
        try:
            value = self.call()
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self.loop.call_soon_threadsafe(self._tell, value, failure)

    def _tell(self, value: object, failure: BaseException | None) -> None:
        if self.result.done():  # who waited has given up
            return
        if failure is None:
            self.result.set_result(value)
        else:
            self.result.set_exception(failure)


_Jobs = queue.SimpleQueue[_Job | None]


class WorkerThread:
    """Runs calls in a thread, which begins with the first.

    Args:
        name: of the thread.

    Attributes:
        calls: how many it was asked for.
        waited: for how many seconds, all told, those waited that have ended.
    """

    def __init__(self, name: str) -> None:
        self.calls = 0
        self.waited = 0.0
        self._name = name
        self._jobs: _Jobs | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a thread."""
        return self._jobs is not None

    @property
    def queued(self) -> int:
        """How many calls wait for those before them."""
        return 0 if self._jobs is None else self._jobs.qsize()

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call after those that were asked for before; raises what it raises.

        A caller that gives up does not stop it.
        """
        if self._jobs is None:
            self._jobs = jobs = _Jobs()
            thread = threading.Thread(target=_serve, args=(jobs,), name=self._name, daemon=True)
            thread.start()
            weakref.finalize(self, jobs.put, None).atexit = False  # it serves to the very end
        job = _Job(call)
        self.calls += 1
        self._jobs.put(job)
        try:
            return await job.result  # type: ignore[no-any-return]
        finally:
            self.waited += job.began_at - job.asked_at

    def close(self) -> None:
        """Have the thread end after what it was asked for; the next call begins another one."""
        if self._jobs is not None:
            self._jobs.put(None)
            self._jobs = None


def _serve(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        job.run()
        del job  # what it holds is not held until the next one comes
