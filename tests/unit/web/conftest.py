"""The daemon's application in this process, called as over its Unix socket."""

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette

from connector.runtime import Runtime
from connector.web.app import make_app
from connector.web.known_keys import KnownKeys
from connector.web.run_starter import RunStarter
from connector.web.server import TrustedPeer
from tests.unit.jobs.bench import Jobs
from tests.unit.workbench import Workbench, workbench

JOB = """
[jobs.pull]
account = "acme/*"
schedule = "every 15m"
run = "pulls:pull"
destination = { to = "sqlite:///ads.db", table = "t", key = ["id"] }
[jobs.other]
account = "beta/*"
run = "pulls:pull"
destination = { to = "sqlite:///ads.db", table = "t", key = ["id"] }
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        made.configure(more=JOB)
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime(has_background=True) as opened:
        await bench.connect(opened)
        yield opened


@pytest.fixture
def jobs(bench: Workbench, runtime: Runtime) -> Iterator[Jobs]:
    with closing(Jobs(bench, runtime)) as made:
        yield made


@pytest.fixture
async def starter(jobs: Jobs) -> AsyncIterator[RunStarter]:
    made = RunStarter(jobs.make_queue())
    yield made
    await made.queue.aclose()


@pytest.fixture
def app(runtime: Runtime, starter: RunStarter) -> Starlette:
    return make_app(runtime, starter, KnownKeys(runtime.api_keys, now=runtime.now))


@pytest.fixture
async def unix(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=TrustedPeer(app))
    async with httpx2.AsyncClient(transport=transport, base_url="http://connector") as client:
        yield client


@pytest.fixture
async def tcp(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    base_url = "http://127.0.0.1:8470"
    async with httpx2.AsyncClient(transport=transport, base_url=base_url) as client:
        yield client
