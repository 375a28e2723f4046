import asyncio
import threading
from collections.abc import Iterator

import pytest

from connector.portal import Portal


@pytest.fixture
def portal() -> Iterator[Portal]:
    made = Portal()
    yield made
    made.close()


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def fail() -> None:
    raise LookupError("nothing there")


class Stuck:
    """Work that never comes to an end."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self.was_cancelled = threading.Event()

    async def work(self) -> None:
        self.has_begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.was_cancelled.set()
            raise


def test_gives_results_and_errors(portal: Portal) -> None:
    assert portal.call(double(21)) == 42
    with pytest.raises(LookupError, match="nothing there"):
        portal.call(fail())


async def test_does_not_block_another_loop(portal: Portal) -> None:
    assert await asyncio.gather(*(portal.call_async(double(i)) for i in range(50))) == [
        2 * i for i in range(50)
    ]
    with pytest.raises(LookupError):
        await portal.call_async(fail())


def test_many_threads(portal: Portal) -> None:
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda i=i: results.append(portal.call(double(i))))
        for i in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [2 * i for i in range(50)]


def test_a_call_within_its_own_loop_is_refused(portal: Portal) -> None:
    async def nested() -> int:
        return portal.call(double(1))

    with pytest.raises(RuntimeError, match="would never end"):
        portal.call(nested())


async def test_a_caller_that_is_cancelled_is_cancelled(portal: Portal) -> None:
    stuck = Stuck()
    calling = asyncio.create_task(portal.call_async(stuck.work()))
    await asyncio.to_thread(stuck.has_begun.wait)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await asyncio.to_thread(stuck.was_cancelled.wait, 10)


class TestClosed:
    def test_twice_is_as_good_as_once(self, portal: Portal) -> None:
        portal.close()
        portal.close()

    async def test_says_so(self, portal: Portal) -> None:
        portal.close()
        with pytest.raises(RuntimeError, match="closed"):
            portal.call(double(1))
        with pytest.raises(RuntimeError, match="closed"):
            await portal.call_async(double(1))

    def test_a_thread_that_waits_does_not_wait_for_ever(self, portal: Portal) -> None:
        stuck = Stuck()
        caught: list[BaseException] = []

        def call() -> None:
            try:
                portal.call(stuck.work())
            except RuntimeError as error:
                caught.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        stuck.has_begun.wait()
        portal.close()
        thread.join(10)
        assert [str(error) for error in caught] == ["this Connector is closed"]

    async def test_a_task_that_waits_learns_it(self, portal: Portal) -> None:
        """It is told, and not cancelled: nobody has asked it to give up."""
        stuck = Stuck()
        calling = asyncio.create_task(portal.call_async(stuck.work()))
        await asyncio.to_thread(stuck.has_begun.wait)
        await asyncio.to_thread(portal.close)
        with pytest.raises(RuntimeError, match="closed"):
            await calling
