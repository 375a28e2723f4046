import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

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


class Counted:
    """Work that waits until it is let go, and is counted."""

    def __init__(self) -> None:
        self.times = 0
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    async def work(self) -> int:
        self.times += 1
        self.has_begun.set()
        await asyncio.to_thread(self.may_end.wait)
        return self.times


def test_threads_that_ask_for_the_same_share_the_work(portal: Portal) -> None:
    counted = Counted()
    with ThreadPoolExecutor(20) as threads:
        first = threads.submit(portal.call_shared, "key", counted.work)
        assert counted.has_begun.wait(10)
        others = [threads.submit(portal.call_shared, "key", counted.work) for _ in range(19)]
        assert portal.call_shared("another key", lambda: double(21)) == 42
        counted.may_end.set()
        assert {one.result(10) for one in [first, *others]} == {1}
    assert portal.call_shared("key", counted.work) == 2, "what has ended is not shared"
    with pytest.raises(LookupError):
        portal.call_shared("key", fail)


def test_work_that_is_old_is_not_shared(portal: Portal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.portal.SHARED_FOR", -1)
    counted = Counted()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(portal.call_shared, "key", counted.work)
        assert counted.has_begun.wait(10)
        second = threads.submit(portal.call_shared, "key", lambda: double(21))
        assert second.result(10) == 42
        counted.may_end.set()
        assert first.result(10) == 1


def test_shared_work_is_refused_once_it_is_closed() -> None:
    portal = Portal()
    portal.close()
    with pytest.raises(RuntimeError, match="closed"):
        portal.call_shared("key", lambda: double(21))


def test_shared_work_cannot_be_waited_for_in_its_own_loop(portal: Portal) -> None:
    async def ask() -> int:
        return portal.call_shared("key", lambda: double(21))

    with pytest.raises(RuntimeError, match="never end"):
        portal.call(ask())
