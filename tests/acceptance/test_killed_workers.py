"""Workers are killed at random moments, often between the provider's answer and their commit.

Where the provider takes a refresh token twice for a while (``grace``), no account is lost. Where it
does not (``strict``), a token that was rotated for a process that died is gone with it: then, and
only then, the account says so. For how long an answer can be lost so is measured as well; show the
figures with ``-rA``. A long run: CONNECTOR_TEST_KILLS=200 CONNECTOR_TEST_KILLED_ACCOUNTS=20.
"""

import asyncio
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import pytest

from connector import errors
from connector.account import ConsentRequired
from connector.runtime import Runtime
from connector.simulator import Settings
from connector.simulator.ledger import Record as LedgerRecord
from connector.simulator.settings import Rotation
from tests.acceptance.real_time import real_time_workbench
from tests.acceptance.rotating_workers import Durable, Workers
from tests.unit.workbench import REFRESH, Workbench

#: How many workers are killed in each test: enough to lose some, or so many for a long run.
KILLS: Final = int(os.environ.get("CONNECTOR_TEST_KILLS", "20"))
WORKERS: Final = 2
COUNT: Final = int(os.environ.get("CONNECTOR_TEST_KILLED_ACCOUNTS", "6"))
ACCOUNTS: Final = tuple(f"acme/account-{i}" for i in range(COUNT))
#: Seconds: a token is over so soon that every account is always about to be refreshed, and the
#: answer, once the old refresh token has been replaced, is on its way long enough to be lost.
LIFETIME: Final = 1.0
ANSWER_DELAY: Final = 0.15
#: Seconds between a worker's beginning and the next kill.
PAUSES: Final = (0.05, 0.6)
#: On the host of the owner that is gone nobody waits for a lease (45 s).
AT_ONCE: Final = 15.0
#: Seconds in which a request arrives whose sender has been killed.
UNDERWAY: Final = 1.0
#: What is said while a token waits that was sent by two in a row who were killed: nothing is lost.
LEFT_UNANSWERED: Final = "was lost with the process that had sent it"
ROTATION_LOST: Final = "rotation lost"
ACCEPTED: Final = frozenset({"issued", "replayed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What came of it all."""

    killed_at: list[float]
    reasons: list[str]
    errors: list[dict[str, str]]
    durable: list[Durable]
    sent: tuple[LedgerRecord, ...]
    seconds_to_recover: float


@asynccontextmanager
async def rotating(
    folder: Path, rotation: Rotation, postgres_url: str | None
) -> AsyncIterator[tuple[Workbench, Runtime]]:
    """Connect all accounts at a simulator that answers late."""
    settings = Settings(rotation=rotation, access_token_lifetime=LIFETIME)
    with real_time_workbench(folder, settings, postgres_url=postgres_url) as bench:
        late = {"when": "after", "grant_type": "refresh_token", "times": None}
        bench.fault("delay", delay=ANSWER_DELAY, **late)
        async with bench.runtime() as runtime:
            for name in ACCOUNTS:
                await bench.connect(runtime, name)
            yield bench, runtime


async def kill_and_see(
    bench: Workbench, runtime: Runtime, *, seed: int, is_person_asking: bool
) -> Story:
    """Kill one worker after another, and all in the end; see what is left of the accounts.

    An account that is lost meanwhile is connected again, so that as many rotate as before.

    Args:
        bench: the configuration.
        runtime: of this process.
        seed: of when to kill whom.
        is_person_asking: in the end accounts are refreshed without the pause that the profile asks
            for where two died in a row.
    """
    chance = random.Random(seed)  # noqa: S311 - when to kill whom
    reasons: list[str] = []
    async with Workers.started(bench, ACCOUNTS) as workers:
        for _ in range(WORKERS):
            await workers.add()
        for number in range(KILLS):
            await asyncio.sleep(chance.uniform(*PAUSES))
            workers.kill(chance.randrange(len(workers.living)))
            if number >= KILLS - WORKERS:
                continue  # those that are left come next
            await workers.add()
            for name, reason in (await lost(runtime)).items():
                reasons.append(reason)
                await bench.connect(runtime, name)
        began = time.monotonic()
        for name in ACCOUNTS:
            try:
                await recover(runtime, name, is_person_asking=is_person_asking)
            except errors.ConsentRequired as error:
                reasons.append(error.reason)
        seconds_to_recover = time.monotonic() - began
        await workers.hear()
        return Story(
            killed_at=workers.killed_at,
            reasons=reasons,
            errors=workers.errors,
            durable=workers.durable,
            sent=bench.simulator.ledger.records(REFRESH),
            seconds_to_recover=seconds_to_recover,
        )


async def recover(runtime: Runtime, name: str, *, is_person_asking: bool) -> None:
    """Refresh an account, as soon as it may be."""
    async with asyncio.timeout(AT_ONCE):
        while True:
            try:
                await runtime.tokens.refresh(name, ignore_backoff=is_person_asking)
            except errors.TemporarilyUnavailable as error:
                assert LEFT_UNANSWERED in error.reason, error  # noqa: PT017
                await asyncio.sleep(0.2)  # by the real time, as the other processes
            else:
                return


async def lost(runtime: Runtime) -> dict[str, str]:
    """Give the accounts that need a person, and why."""
    accounts = [await runtime.accounts.require(name) for name in ACCOUNTS]
    return {
        account.name: account.state.reason
        for account in accounts
        if isinstance(account.state, ConsentRequired)
    }


def answers_lost(story: Story) -> list[tuple[LedgerRecord, LedgerRecord, float]]:
    """Give each request whose token was sent again, that next one, and when its sender was killed.

    Each of them because somebody was killed: nobody else sends a refresh token twice.
    """
    sends = defaultdict(list)
    for record in story.sent:
        sends[record.refresh_token].append(record)
    found = []
    for first, second in (pair for records in sends.values() for pair in pairwise(records)):
        killed_at = [at for at in story.killed_at if first.time - UNDERWAY < at < second.time]
        assert killed_at, "sent twice"
        found.append((first, second, killed_at[0]))
    return found


def rotated_in_vain(story: Story) -> list[float]:
    """Give when those were killed for whom the server had rotated; one for each answer lost."""
    return [at for first, _, at in answers_lost(story) if first.outcome in ACCEPTED]


def loss_windows(story: Story) -> list[float]:
    """Give for how long (s) each answer could be lost: the server had rotated, we had nothing."""
    windows = []
    for durable in story.durable:
        rotated = [
            record.time
            for record in story.sent
            if record.refresh_token == durable.refresh_token
            and record.outcome in ACCEPTED
            and record.time <= durable.at
        ]
        windows.append(durable.at - rotated[-1])
    return windows


def tell(story: Story) -> None:
    """Show the numbers, with ``-rA``."""
    lost = answers_lost(story)
    rotated = rotated_in_vain(story)
    windows = [1000 * window for window in loss_windows(story)]
    told = [reason for reason in story.reasons if reason.startswith(ROTATION_LOST)]
    numbers = {
        "kills": len(story.killed_at),
        "accounts": len(ACCOUNTS),
        "refreshes": len(story.sent),
        "loss window, median ms": round(median(windows)),
        "loss window, p99 ms": round(quantiles(windows, n=100)[-1]),
        "of that on its way, ms": round(1000 * ANSWER_DELAY),
        "kills that met it": len(set(rotated)),
        "answers lost": len(rotated),
        "accounts lost": len(story.reasons),
        "told": len(told),
        "silent": len(story.reasons) - len(told),
        "longest until sent again, s": round(
            max((second.time - killed_at for _, second, killed_at in lost), default=0.0), 1
        ),
        "seconds to recover in the end": round(story.seconds_to_recover, 1),
    }
    sys.stdout.write(f"{numbers}\n")


@pytest.fixture(params=["sqlite", "postgres"])
def postgres_or_none(request: pytest.FixtureRequest) -> str | None:
    """Where the vault is."""
    if request.param == "sqlite":
        return None
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.mark.timeout(60 + 5 * KILLS)
async def test_within_the_grace_time_no_account_is_lost(
    tmp_path: Path, postgres_or_none: str | None
) -> None:
    async with rotating(tmp_path, "grace", postgres_or_none) as (bench, runtime):
        story = await kill_and_see(bench, runtime, seed=1, is_person_asking=False)
    tell(story)
    assert story.reasons == []
    assert [error for error in story.errors if LEFT_UNANSWERED not in error["message"]] == []
    assert story.seconds_to_recover < AT_ONCE
    assert {record.outcome for record in story.sent} == ACCEPTED


@pytest.mark.timeout(60 + 5 * KILLS)
async def test_a_strict_provider_loses_none_silently(
    tmp_path: Path, postgres_or_none: str | None
) -> None:
    async with rotating(tmp_path, "strict", postgres_or_none) as (bench, runtime):
        story = await kill_and_see(bench, runtime, seed=2, is_person_asking=True)
    tell(story)
    assert all(reason.startswith(ROTATION_LOST) for reason in story.reasons), story.reasons
    for error in story.errors:
        assert ROTATION_LOST in error["message"] or LEFT_UNANSWERED in error["message"], error
    assert len(story.reasons) == len(rotated_in_vain(story)), "each lost answer is told of, once"
    assert story.seconds_to_recover < AT_ONCE
