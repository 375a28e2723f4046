"""The audit trail: who did what with which account, chosen by account, event and time."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from connector.runtime import Runtime
from connector.store.audit_entry import EVENTS
from connector.store.audit_pages import AuditChoice, AuditPages
from connector.web.dashboard.frame import Frame
from connector.web.dashboard.guard import PageRoute
from connector.web.dashboard.runs import plain

PAGE_SIZE: Final = 50
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class AuditTrailPages:
    """The route of the audit trail; whoever is signed in may see it: a user of this host.

    Args:
        runtime: the daemon's objects.
        frame: makes pages.
    """

    def __init__(self, runtime: Runtime, frame: Frame) -> None:
        self._frame = frame
        self._pages = AuditPages(runtime.database, runtime.vault)

    def routes(self) -> list[PageRoute]:
        """Give the routes."""
        return [self._frame.page("/audit", self.show)]

    async def show(self, request: Request) -> Response:
        """Show the rows that were asked for."""
        query = request.query_params
        event = query.get("event", "")
        since, until = _day(query.get("since", "")), _day(query.get("until", ""))
        choice = AuditChoice(
            account=plain(query.get("account", "")),
            event=event if event in EVENTS else "",
            since=None if since is None else since.timestamp(),
            # the last moment of that day
            until=None if until is None else (until + timedelta(days=1)).timestamp() - 1e-3,
        )
        before, after = _number(query.get("before", "")), _number(query.get("after", ""))
        page = await self._pages.page(choice, limit=PAGE_SIZE, before=before, after=after)
        fields = {
            "account": choice.account,
            "event": choice.event,
            "since": "" if since is None else f"{since:%Y-%m-%d}",
            "until": "" if until is None else f"{until:%Y-%m-%d}",
        }
        values = {
            "rows": [_view(row) for row in page.rows],
            "altered": page.altered,
            "fields": fields,
            "events": EVENTS,
            "is_chosen": any(fields.values()) or before is not None or after is not None,
            "newer": _path({**fields, "after": str(page.newer or "")}) if page.newer else "",
            "older": _path({**fields, "before": str(page.older or "")}) if page.older else "",
        }
        return await self._frame.render(request, "audit.html", values)


def _view(row: Any) -> dict[str, object]:
    """Give a row for people; SQLite takes anything in any place, and it is shown."""
    event, detail = _shown(row.event), _detail(row.detail)
    at = row.at if isinstance(row.at, float) and 0 <= row.at < 250_000_000_000 else None
    return {
        "number": row.number,
        "at": at,
        "event": event,
        "meaning": EVENTS.get(event, "written by a newer version"),
        "account": _shown(row.account),
        "actor": _shown(row.actor),
        "through": _shown(row.through),
        "outcome": _shown(row.outcome),
        "times": row.times,
        "fingerprint": _shown(row.fingerprint),
        "detail": detail,
    }


def _detail(text: object) -> dict[str, object]:
    try:
        detail = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        detail = None
    return detail if isinstance(detail, dict) else {"altered": _shown(text)}


def _shown(value: object) -> str:
    if value is None:
        return ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _number(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def _day(text: str) -> datetime | None:
    """Read a day (UTC); None where it is none."""
    if _DATE.fullmatch(text) is None:
        return None
    try:
        day = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None
    return day if day.year < 9999 else None


def _path(fields: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"/audit?{query}" if query else "/audit"
