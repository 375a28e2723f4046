"""Workers that keep tokens fresh until they are killed; see single_flight_worker and its tests."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tests.unit.workbench import Workbench

WORKER: Final = Path(__file__).with_name("single_flight_worker.py")
PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Durable:
    """That the answer to a refresh token was durable, and when."""

    at: float
    refresh_token: str


@dataclass
class Workers:
    """Processes that keep tokens fresh, and what they say."""

    parent: Process
    living: list[int] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)
    durable: list[Durable] = field(default_factory=list)
    killed_at: list[float] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def started(cls, bench: Workbench, accounts: Iterable[str]) -> AsyncIterator[Self]:
        """Start the process that forks them; whoever lives at the end is killed."""
        command = (sys.executable, str(WORKER), "rotate", str(bench.config), *accounts)
        parent = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        try:
            yield cls(parent)
        finally:
            with suppress(ProcessLookupError):  # all have ended
                os.killpg(parent.pid, signal.SIGKILL)
            await parent.wait()

    async def add(self) -> None:
        """Have one more, and wait until it works."""
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write(b"\n")
        async with asyncio.timeout(PATIENCE):
            while True:
                said = json.loads(await self.parent.stdout.readline())
                if "pid" in said:
                    break
                self._note(said)
        self.living.append(said["pid"])

    def kill(self, one: int) -> None:
        """End one without a word."""
        self.killed_at.append(time.time())
        os.kill(self.living.pop(one), signal.SIGKILL)

    async def hear(self) -> None:
        """Note what was told to the end, once nobody works any more."""
        assert not self.living
        out, _ = await asyncio.wait_for(self.parent.communicate(b""), PATIENCE)
        for line in out.splitlines():
            self._note(json.loads(line))

    def _note(self, said: dict[str, Any]) -> None:
        if "durable" in said:
            self.durable.append(Durable(at=said["durable"], refresh_token=said["sent"]))
        else:
            self.errors.append(said)
