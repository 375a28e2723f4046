"""A worker is killed at every step of a refresh, on servers of four kinds and both databases.

Where the server takes a refresh token twice (``grace``, ``idempotent``) nothing is lost. Where it
does not, the account is lost only if the server had rotated and the answer was not durable yet, and
then it says so (CHECKLIST, R3 to R7).
"""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Final

import pytest

from connector import errors
from connector.account import Account
from connector.oauth.token import default_min_ttl
from connector.runtime import Runtime
from connector.simulator import Settings
from connector.simulator.ledger import Record
from tests.acceptance.kill_points import AHEAD_OF_NEED, EVERY_STEP, STEPS, Step
from tests.acceptance.real_time import configure, real_time_workbench
from tests.postgres import PostgresServer
from tests.unit.workbench import REFRESH, Workbench

#: Seconds: on the host of the owner that is gone nobody waits for a lease (45 s).
AT_ONCE: Final = 10.0
#: Every step on every kind of server and both databases, also where that cannot make a difference.
ARE_ALL: Final = os.environ.get("CONNECTOR_TEST_KILL_POINTS") == "all"
#: Seconds: the consent was so long ago that the access token has ended.
AGO: Final = 7200.0
NAMES: Final = (f"acme/{number}" for number in itertools.count())


def cases(often: str, seldom: str) -> list[object]:
    """Give database, kind of server and step.

    Args:
        often: the kind of server on which a worker is killed at every step.
        seldom: the kind on which it is killed while an answer is on its way.
    """
    return [
        pytest.param(database, rotation, one, id=f"{number}: {one.name}-{rotation}-{database}")
        for database in ("sqlite", "postgres")
        for rotation in (often, seldom)
        for number, one in enumerate(STEPS, 1)
        if ARE_ALL
        or (
            (one.is_stored or database == "sqlite")
            and (rotation == often or (one.is_sent and not one.is_durable and database == "sqlite"))
        )
    ]


class ForkServer:
    """The process that forks workers."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def order(self, bench: Workbench, account: Account, one: Step) -> int:
        """Have a worker begin; give its process."""
        order = {
            "config": str(bench.config),
            "account": account.name,
            "step": EVERY_STEP.index(one),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        pid: int = self._hear()["pid"]
        return pid

    def wait(self) -> None:
        """Wait until the worker is dead."""
        assert self._hear() == {"signal": signal.SIGKILL}, "it was not killed"

    def _hear(self) -> dict[str, int]:
        assert self._process.stdout is not None
        said: dict[str, int] = json.loads(self._process.stdout.readline())
        return said


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    command = [sys.executable, "-m", "tests.acceptance.kill_points"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield ForkServer(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture(scope="module")
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Workbench, str | None]]:
    """A vault on either database, and its URL."""
    folder, settings = tmp_path_factory.mktemp("place"), Settings(rotation="strict")
    if request.param == "sqlite":
        with real_time_workbench(folder, settings) as made:
            yield made, None
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as url:
        text = url.render_as_string(hide_password=False)
        with real_time_workbench(folder, settings, postgres_url=text) as made:
            yield made, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One account whose token has ended, and what happens to it."""

    bench: Workbench
    runtime: Runtime
    account: Account
    fork_server: ForkServer
    since: int

    def sent(self) -> list[Record]:
        """Give the refreshes that have reached the server."""
        return list(self.bench.simulator.ledger.records(replace(REFRESH, after=self.since)))

    async def kill_at(self, one: Step) -> None:
        """Have a worker refresh, and killed."""
        for before in [other for other in STEPS if other.name == one.after]:
            await self.kill_at(before)
        if one.fault is not None:
            self.bench.fault(**one.fault)  # type: ignore[arg-type]
        pid = self.fork_server.order(self.bench, self.account, one)
        if one.arm is None:
            await self.bench.held()
            os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(self.fork_server.wait)
        self.bench.release()
        if one.is_sent:  # it is on its way: the server acts, whoever is dead
            acted = replace(REFRESH, after=self.since, outcome="issued")
            await asyncio.to_thread(self.bench.simulator.ledger.wait_for, 1, acted)


@pytest.fixture
async def bench(
    place: tuple[Workbench, str | None], rotation: str, fork_server: ForkServer
) -> AsyncIterator[Bench]:
    workbench, url = place
    name = next(NAMES)
    workbench.simulator.change({"rotation": rotation})
    journal = f"journals/{name}"
    configure(workbench, workbench.simulator.settings, postgres_url=url, journal=journal)
    async with workbench.runtime() as runtime:
        runtime.now = lambda: time.time() - AGO
        account = await workbench.connect(runtime, name)
        records = workbench.simulator.ledger.records()
        yield Bench(
            bench=workbench,
            runtime=runtime,
            account=account,
            fork_server=fork_server,
            since=records[-1].number if records else 0,
        )


async def refresh_once_more(bench: Bench) -> None:
    """Show that the refresh token in the store is the newest."""
    await bench.runtime.tokens.refresh(bench.account.name)
    last = bench.sent()[-1]
    assert last.outcome == "issued"


def assert_nothing_older_was_sent(bench: Bench) -> None:
    """A refresh token that came before one that was sent is never sent again."""
    generations = [record.generation or 0 for record in bench.sent()]
    assert generations == sorted(generations)


async def token(bench: Bench) -> str:
    """Get a token that works, another one than that of the consent, without waiting for a lease."""
    async with asyncio.timeout(AT_ONCE):
        value = (await bench.runtime.tokens.get(bench.account.name)).value
    assert value != bench.runtime.accounts.open_access_token(bench.account).reveal()
    found = bench.bench.simulator.state.grants.find_access_token(value)
    assert found is not None
    assert found.is_valid(time.time())
    return value


@pytest.mark.parametrize(
    ("place", "rotation", "step"), cases("grace", "idempotent"), indirect=["place"]
)
async def test_where_a_token_may_be_sent_twice_nothing_is_lost(bench: Bench, step: Step) -> None:
    await bench.kill_at(step)
    sent = bench.sent()
    await token(bench)
    again = [record.outcome for record in bench.sent()[len(sent) :]]
    if step.is_durable:
        assert again == [], "what was committed is given"
    else:
        assert again == ["replayed" if step.is_sent else "issued"]
    await refresh_once_more(bench)
    assert_nothing_older_was_sent(bench)


@pytest.mark.parametrize(
    ("place", "rotation", "step"), cases("strict_family", "strict"), indirect=["place"]
)
async def test_where_it_may_not_only_an_answer_on_its_way_is_lost_and_told(
    bench: Bench, step: Step
) -> None:
    await bench.kill_at(step)
    sent = bench.sent()
    if step.is_sent and not step.is_durable:
        async with asyncio.timeout(AT_ONCE):
            with pytest.raises(errors.ConsentRequired, match="rotation lost"):
                await bench.runtime.tokens.get(bench.account.name)
        assert [record.outcome for record in bench.sent()] == ["issued", "reuse_detected"]
        account = await bench.runtime.accounts.require(bench.account.name)
        assert account.state_name == "consent_required"
        return
    await token(bench)
    again = [record.outcome for record in bench.sent()[len(sent) :]]
    assert again == ([] if step.is_durable else ["issued"])
    await refresh_once_more(bench)
    assert_nothing_older_was_sent(bench)


@pytest.mark.parametrize(("place", "rotation"), [("sqlite", "strict_family")], indirect=["place"])
async def test_a_replay_that_may_kill_a_token_that_works_waits_until_that_is_nearly_over(
    bench: Bench,
) -> None:
    """A worker is killed ahead of need: what it may have lost is not all that there is."""
    bench.runtime.now = time.time
    account = await bench.bench.connect(bench.runtime, bench.account.name)
    assert account.grant is not None
    await bench.kill_at(AHEAD_OF_NEED)
    with pytest.raises(errors.TemporarilyUnavailable, match="was lost with the process") as caught:
        await bench.runtime.tokens.refresh(account.name)
    assert caught.value.retry_at is not None
    nearly_over = (account.grant.terms.expires_at or 0.0) - default_min_ttl(3600)
    assert caught.value.retry_at.timestamp() == pytest.approx(nearly_over, abs=0.001)
    value = (await bench.runtime.tokens.get(account.name)).value
    assert value == bench.runtime.accounts.open_access_token(account).reveal()
    assert len(bench.sent()) == 1
