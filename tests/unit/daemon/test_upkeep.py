"""Keeping house goes on, whatever one time of it came to."""

import asyncio
from typing import cast

import pytest

from connector.daemon.upkeep import Upkeep
from connector.errors import TemporarilyUnavailable
from connector.runtime import Runtime


async def test_a_failure_or_a_bug_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    errors = [TemporarilyUnavailable("away"), KeyError("a bug"), None]
    is_done = asyncio.Event()

    async def work() -> None:
        error = errors.pop(0)
        if error is not None:
            raise error
        is_done.set()
        await asyncio.Event().wait()

    upkeep = Upkeep(cast("Runtime", None))
    upkeep._repeat(0.0, work, "audit.not_pruned")
    async with asyncio.timeout(10):
        await is_done.wait()
    await upkeep.aclose()
    actions = [record.action for record in caplog.records]  # type: ignore[attr-defined]
    assert actions == ["audit.not_pruned", "upkeep.bug"]
