"""What a runtime has written to its audit trail."""

import json
from typing import Any

from connector.runtime import Runtime


async def audited(runtime: Runtime, kind: str = "") -> list[Any]:
    """Give the rows whose events begin so, the oldest first; the trail is whole."""
    await runtime.trail.flush()
    verified = await runtime.audit.verify()
    assert verified.fault is None
    rows = [row async for row in runtime.audit.newest_first() if row.event.startswith(kind)]
    return rows[::-1]


async def events(runtime: Runtime, kind: str = "") -> list[tuple[str, str | None]]:
    """Give event and outcome of these rows."""
    return [(row.event, row.outcome) for row in await audited(runtime, kind)]


def detail(row: Any) -> dict[str, Any]:
    """Give a row's detail."""
    found: dict[str, Any] = json.loads(row.detail)
    return found
