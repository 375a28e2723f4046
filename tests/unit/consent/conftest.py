"""A workbench, a runtime on it, and people with browsers."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from connector.runtime import Runtime
from connector.simulator.person import Person
from tests.unit.workbench import Workbench, someone, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime() as opened:
        yield opened


@pytest.fixture
def ada() -> Iterator[Person]:
    with someone("ada") as person:
        yield person


@pytest.fixture
def grace() -> Iterator[Person]:
    with someone("grace") as person:
        yield person


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries of an exchange follow each other at once."""
    monkeypatch.setattr("connector.consent.exchange.SENDING_PAUSE", 0)
