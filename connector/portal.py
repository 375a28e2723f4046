"""The synchronous face: one thread with an event loop of ours, and a way in for other threads.

A user's event loop is never touched, and no global one is set (ADR 0006). A caller that is
interrupted leaves its work running to the end.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_CLOSED: Final = "this Connector is closed"


class Portal:
    """A thread that runs an event loop until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()  # what is submitted is begun before the loop is stopped
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="connector", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread and wait for its result; raises what it raises.

        Raises:
            RuntimeError: the portal is closed, or was closed before there was a result.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a synchronous call inside Connector's own loop would never end")
        future = self._submit(work)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise RuntimeError(_CLOSED) from None

    async def call_async(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread and wait for its result without blocking another loop.

        Raises:
            RuntimeError: as for `call`.
        """
        future = self._submit(work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if self._is_closing and future.cancelled():
                raise RuntimeError(_CLOSED) from None
            raise

    def close(self) -> None:
        """Stop the loop and wait for the thread; what has no result yet gets none."""
        with self._lock:
            if not self._is_closing:
                self._is_closing = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _submit(self, work: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        with self._lock:
            if not self._is_closing:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise RuntimeError(_CLOSED)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
