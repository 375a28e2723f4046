"""A workbench, a runtime on it, and an account."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from connector.account import Account
from connector.runtime import Runtime
from tests.unit.workbench import Workbench, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime() as opened:
        yield opened


@pytest.fixture
async def account(bench: Workbench, runtime: Runtime) -> Account:
    return await bench.connect(runtime)
