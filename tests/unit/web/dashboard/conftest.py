"""Somebody who is not signed in, and somebody who is."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.applications import Starlette

from connector.runtime import Runtime

from .visitor import ADDRESS, Visitor


@pytest.fixture
async def visitor(app: Starlette, runtime: Runtime) -> AsyncIterator[Visitor]:
    transport = httpx2.ASGITransport(app=app)
    accept = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with httpx2.AsyncClient(transport=transport, base_url=ADDRESS, headers=accept) as client:
        yield Visitor(client, runtime)


@pytest.fixture
async def person(visitor: Visitor) -> Visitor:
    await visitor.sign_in()
    return visitor
