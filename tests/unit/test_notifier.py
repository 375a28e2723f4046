"""The daemon's notifier: each channel on its own, nothing twice, nothing lost with a restart."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from connector.daemon.notifier import Notifier
from connector.notices.channel import Channel, Undelivered
from connector.notices.wording import Message
from connector.runtime import Runtime
from connector.settings import load_settings
from connector.token_source.verdict import GRANT_ENDED
from tests.unit.workbench import ACCOUNT, NOW, Workbench, workbench


class Recorder:
    """A channel that keeps what it is told; it may hang, fail, or have a bug first."""

    def __init__(self, name: str, *, trouble: str = "") -> None:
        self.name = name
        self.trouble = trouble
        self.tries = 0
        self.told: list[tuple[str, object]] = []
        self.heard = asyncio.Event()

    async def send(self, message: Message, *, now: float) -> None:
        del now
        self.tries += 1
        self.heard.set()
        if self.trouble == "hangs":
            await asyncio.Event().wait()
        if self.trouble == "fails":
            raise Undelivered("no")
        if self.trouble == "bug":
            raise ValueError("a bug")
        self.told.append((message.event, message.body["account"]))

    async def aclose(self) -> None:
        """Nothing is held."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


async def end(runtime: Runtime, bench: Workbench, name: str = ACCOUNT) -> None:
    account = await bench.connect(runtime, name)
    await runtime.grants.require_consent(account, GRANT_ENDED, now=NOW)


@asynccontextmanager
async def notifying(runtime: Runtime, *channels: Channel) -> AsyncIterator[Notifier]:
    notifier = Notifier(runtime, channels)
    notifier.start()
    try:
        yield notifier
    finally:
        await notifier.aclose()


async def heard(channel: Recorder, count: int = 1) -> None:
    """Wait until a channel has been told so often."""
    async with asyncio.timeout(20):
        while len(channel.told) < count:
            channel.heard.clear()
            await channel.heard.wait()
            await asyncio.sleep(0)


async def test_a_channel_that_hangs_holds_up_nobody(bench: Workbench) -> None:
    hanging, good = Recorder("a", trouble="hangs"), Recorder("b")
    async with bench.runtime() as runtime:
        await end(runtime, bench)
        async with notifying(runtime, hanging, good):
            await heard(good)
            await asyncio.wait_for(hanging.heard.wait(), 20)
            # neither a refresh: it is another task, and no lock or connection is held
            await bench.connect(runtime, "acme/other")
            assert (await runtime.tokens.refresh("acme/other")).value
    assert good.told == [("opened", ACCOUNT)]
    assert (hanging.tries, hanging.told) == (1, [])


@pytest.mark.parametrize("trouble", ["fails", "bug"])
async def test_nor_does_one_that_fails(
    bench: Workbench, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bad, good = Recorder("a", trouble=trouble), Recorder("b")
    async with bench.runtime() as runtime:
        await end(runtime, bench)
        async with notifying(runtime, bad, good):
            await heard(good)
            await asyncio.wait_for(bad.heard.wait(), 20)
    assert bad.told == []
    action = "notices.bug" if trouble == "bug" else "notice.not_sent"
    lines = [one for one in caplog.records if getattr(one, "action", "") == action]
    assert len(lines) == 1


async def test_a_restart_tells_nothing_again(bench: Workbench) -> None:
    first, second = Recorder("a"), Recorder("a")
    async with bench.runtime() as runtime:
        await end(runtime, bench)
        async with notifying(runtime, first):
            await heard(first)
    async with bench.runtime() as runtime:
        await end(runtime, bench, "acme/other")
        async with notifying(runtime, second):
            await heard(second)
    assert second.told == [("opened", "acme/other")]


async def test_what_was_being_sent_at_the_end_is_sent_by_the_next(bench: Workbench) -> None:
    hanging, next_one = Recorder("a", trouble="hangs"), Recorder("a")
    async with bench.runtime() as runtime:
        await end(runtime, bench)
        async with notifying(runtime, hanging):
            await asyncio.wait_for(hanging.heard.wait(), 20)
    bench.clock.advance(120)
    async with bench.runtime() as runtime, notifying(runtime, next_one):
        await heard(next_one)
    assert next_one.told == [("opened", ACCOUNT)]


async def test_two_daemons_tell_it_once(bench: Workbench) -> None:
    channels = Recorder("a"), Recorder("a")
    async with bench.runtime() as first, bench.runtime() as second:
        await end(first, bench)
        async with notifying(first, channels[0]), notifying(second, channels[1]):
            either = [asyncio.create_task(heard(channel)) for channel in channels]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for task in either:
                task.cancel()
            await asyncio.gather(*either, return_exceptions=True)
            await first.notices.look()
            await second.notices.look()
    assert channels[0].told + channels[1].told == [("opened", ACCOUNT)]


async def test_other_channels_take_over_while_it_runs(bench: Workbench) -> None:
    """As a reload of the configuration has it."""
    before, after = Recorder("a"), Recorder("b")
    async with bench.runtime() as runtime:
        await end(runtime, bench)
        async with notifying(runtime, before) as notifier:
            await heard(before)
            notifier.use([after])
            await heard(after)
            await bench.connect(runtime)
            await runtime.notices.look()
            notifier._wake["b"].set()  # as a look of its own does
            await heard(after, 2)
    assert before.told == [("opened", ACCOUNT)]
    assert after.told == [("opened", ACCOUNT), ("resolved", ACCOUNT)]


async def test_another_configuration_holds_for_what_is_looked_for(bench: Workbench) -> None:
    async with bench.runtime() as runtime:
        await end(runtime, bench)
        await runtime.notices.look()
        (message,) = await runtime.notices.open()
        assert message.body["url"] == f"http://127.0.0.1:8470/accounts/{ACCOUNT}"
        bench.configure(more='[daemon]\npublic_url = "https://connector.example"')
        runtime.notices.use(load_settings(bench.config))
        (message,) = await runtime.notices.open()
        assert message.body["url"] == f"https://connector.example/accounts/{ACCOUNT}"
