"""Cancels a task where it waits for the n-th time, so that a test can go through all of them."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any


class CancelledAt:
    """Cancels the task that awaits it when it is suspended for the given time."""

    def __init__(self, work: Coroutine[Any, Any, object], suspension: int) -> None:
        self._work = work
        self._left = suspension

    def __await__(self) -> Generator[object, None, object]:
        steps = self._work.__await__()
        thrown: BaseException | None = None
        while True:
            try:
                waited_for = next(steps) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                return end.value
            self._left -= 1
            task = asyncio.current_task()
            if self._left == 0 and task is not None:
                task.cancel()
            try:
                yield waited_for
            except BaseException as error:  # noqa: BLE001 - passed on to whom it is meant for
                thrown = error
            else:
                thrown = None
