"""Cancels a task where it waits for the n-th time, so that a test can go through all of them."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class CancelledAt(Generic[T]):
    """Cancels a task when some work is suspended for the n-th time.

    Args:
        work: what is done.
        suspension: how often it is suspended until then.
        task: whose end it is; by default the one that does the work.
    """

    def __init__(
        self,
        work: Coroutine[Any, Any, T],
        suspension: int,
        task: "asyncio.Task[Any] | None" = None,
    ) -> None:
        self._work = work
        self._left = suspension
        self._task = task

    def __await__(self) -> Generator[object, None, T]:
        steps = self._work.__await__()
        thrown: BaseException | None = None
        while True:
            try:
                waited_for = next(steps) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                result: T = end.value
                return result
            self._left -= 1
            task = self._task or asyncio.current_task()
            if self._left == 0 and task is not None:
                task.cancel()
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - passed on to whom it is meant for
                thrown = error
            else:
                thrown = None
