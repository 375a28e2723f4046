"""Fixtures for all tests: a Postgres server, and databases on it."""

import gc
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from .acceptance.forked import Nursery
from .postgres import PostgresServer, running_server

# the same examples every time, and no failure because a machine is busy
settings.register_profile("connector", derandomize=True, deadline=None, database=None)
settings.load_profile("connector")


# whoever runs us in the background may ignore these, and every process that we start would too
for _number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(_number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Look no more for garbage in what was collected: thousands of tests, which stay to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real Postgres; where there is none, what needs it fails."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database, as a configuration has it."""
    with postgres_server.database() as url:
        yield url.render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """The process that commands of ours are forked from."""
    with Nursery.started() as started:
        yield started
