"""A workbench with an account, and what runs jobs for it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connector.runtime import Runtime
from tests.unit.jobs.bench import Jobs
from tests.unit.workbench import Workbench, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime() as opened:
        await bench.connect(opened)
        yield opened


@pytest.fixture
def jobs(bench: Workbench, runtime: Runtime) -> Iterator[Jobs]:
    with closing(Jobs(bench, runtime)) as made:
        yield made
