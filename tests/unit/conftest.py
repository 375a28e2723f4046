"""Property tests look at the same examples every time; a server that answers scripted bytes."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import settings

from connector.oauth.wire import Wire, make_transport

from .raw_server import RawServer

settings.register_profile("deterministic", deadline=None, derandomize=True, database=None)
settings.load_profile("deterministic")


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """Listens while the test runs."""
    running = RawServer()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """As the daemon makes it."""
    sending = Wire(make_transport())
    yield sending
    await sending.aclose()
