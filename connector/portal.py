"""The synchronous face: one thread with an event loop of ours, and a way in for other threads.

A user's event loop is never touched, and no global one is set (ADR 0006). A caller that is
interrupted leaves its work running to the end.
"""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Final, TypeVar

T = TypeVar("T")

_CLOSED: Final = "this Connector is closed"
_OWN_LOOP: Final = "a synchronous call inside Connector's own loop would never end"
#: Work that has been under way for longer (seconds) may have read what is not so any more: who asks
#: after that has it done anew.
SHARED_FOR: Final = 1.0


class Portal:
    """A thread that runs an event loop until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()  # what is submitted is begun before the loop is stopped
        self._is_closing = False
        self._shared: dict[Hashable, tuple[float, concurrent.futures.Future[Any]]] = {}
        self._thread = threading.Thread(target=self._run, name="connector", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread and wait for its result; raises what it raises.

        Raises:
            RuntimeError: the portal is closed, or was closed before there was a result.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError(_OWN_LOOP)
        return _result(self._submit(work))

    def call_shared(self, key: Hashable, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for the work that other threads wait for under this key, or begin it.

        A hundred threads that want the same at once are one task for the loop.

        Args:
            key: of what is asked for.
            begin: gives the coroutine.

        Raises:
            RuntimeError: as for `call`.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError(_OWN_LOOP)
        with self._lock:
            now = time.monotonic()
            began, future = self._shared.get(key, (now, None))
            if future is None or now - began > SHARED_FOR:
                if self._is_closing:
                    raise RuntimeError(_CLOSED)
                future = asyncio.run_coroutine_threadsafe(begin(), self._loop)
                self._shared[key] = now, future
                # in the loop: a call that is done already would drop it under this lock
                self._loop.call_soon_threadsafe(future.add_done_callback, self._drop(key))
        shared: concurrent.futures.Future[T] = future
        return _result(shared)

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

    def _drop(self, key: Hashable) -> Callable[["concurrent.futures.Future[Any]"], None]:
        def drop(done: "concurrent.futures.Future[Any]") -> None:
            with self._lock:
                if self._shared.get(key, (0.0, None))[1] is done:
                    del self._shared[key]

        return drop

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


def _result(future: "concurrent.futures.Future[T]") -> T:
    try:
        return future.result()
    except concurrent.futures.CancelledError:
        raise RuntimeError(_CLOSED) from None
