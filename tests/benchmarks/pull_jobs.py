"""The pulls of the benchmark as a user of Connector writes them; copied beside a configuration."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import orjson


async def pages(api: httpx2.AsyncClient, context: Any) -> AsyncIterator[list[object]]:
    """Yield page after page; the cursor is committed with each."""
    after: str | None = context.cursor or "0"
    while after is not None:
        answer = await api.get(context.options["path"], params={"after": after})
        page = answer.raise_for_status().json()
        context.cursor = after = page["after"]
        yield page["data"]


async def orjson_pages(api: httpx2.AsyncClient, context: Any) -> AsyncIterator[list[object]]:
    """Do the same with orjson."""
    after: str | None = context.cursor or "0"
    while after is not None:
        answer = await api.get(context.options["path"], params={"after": after})
        page = orjson.loads(answer.raise_for_status().content)
        context.cursor = after = page["after"]
        yield page["data"]


def plain_pages(api: httpx2.Client, context: Any) -> Iterator[list[object]]:
    """Do the same with orjson, without an event loop."""
    after: str | None = context.cursor or "0"
    while after is not None:
        answer = api.get(context.options["path"], params={"after": after})
        page = orjson.loads(answer.raise_for_status().content)
        context.cursor = after = page["after"]
        yield page["data"]
