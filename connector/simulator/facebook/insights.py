"""GET /act_{id}/insights: rows in pages.

A page has a cursor even when it is the last; only a missing `next` ends the list, and an empty
page may still have one. `next` carries the access token, as the real one does.
"""

import base64
import binascii
import re
from urllib.parse import urlencode

from connector.simulator.ads_data import AdAccount, AdsData
from connector.simulator.call import Call, Reply, Subject, json_response
from connector.simulator.facebook.error import bad_parameter, permission_missing, unknown_object
from connector.simulator.facebook.insights_query import InsightsQuery, read_insights_query
from connector.simulator.facebook.insights_rows import add_up, as_row
from connector.simulator.facebook.provider import Provider
from connector.simulator.facebook.viewer import PersonViewer, identify_person, may_read_ads

# What a `next` link says anew, or must not repeat.
REPLACED_PARAMETERS = frozenset({"access_token", "appsecret_proof", "after", "limit"})


class Insights:
    """The insights edge of an ad account."""

    def __init__(self, provider: Provider, ads: AdsData) -> None:
        self._provider = provider
        self._ads = ads

    def answer(self, call: Call) -> Reply:
        """A page of insights.

        Raises:
            GraphError: a dead token, a missing permission, or a parameter that makes no sense.
        """
        viewer = identify_person(call, self._provider)
        account = self._account(call, viewer)
        subject = Subject(
            person=viewer.person.name,
            family=viewer.viewer.token.family,
            ad_account=account.id,
        )
        query = read_insights_query(
            viewer.viewer.parameters,
            today=self._ads.today(account),
            first_day=self._ads.first_day(account),
            subject=subject,
        )
        body = self._page(call, viewer, account, query, subject)
        return Reply(response=json_response(body), subject=subject)

    def _account(self, call: Call, viewer: PersonViewer) -> AdAccount:
        name = f"act_{call.path['number']}"
        account = self._ads.find(name)
        if account is None or account.owner != viewer.person.name:
            raise unknown_object(name, viewer.subject)
        if not may_read_ads(viewer, self._provider.state.clock.now()):
            raise permission_missing(viewer.subject)
        return account

    def _page(
        self,
        call: Call,
        viewer: PersonViewer,
        account: AdAccount,
        query: InsightsQuery,
        subject: Subject,
    ) -> dict[str, object]:
        days = self._ads.rows(account, query.since, query.until)
        rows = add_up(days, query.level, query.increment, since=query.since, until=query.until)
        blanks, start = _position(query.after, subject)
        is_blank = blanks < self._provider.state.settings.insights_empty_pages
        page = [] if is_blank else rows[start : start + query.limit]
        end = start + len(page)
        if not is_blank and not page:
            return {"data": []}
        after = _cursor(blanks + 1 if is_blank else blanks, end)
        paging: dict[str, object] = {"cursors": {"before": _cursor(blanks, start), "after": after}}
        if is_blank or end < len(rows):
            paging["next"] = self._next(call, viewer, query, after)
        data = [as_row(row, query.fields, query.level) for row in page]
        return {"data": data, "paging": paging}

    def _next(self, call: Call, viewer: PersonViewer, query: InsightsQuery, after: str) -> str:
        kept = {
            name: value
            for name, value in viewer.viewer.parameters
            if name not in REPLACED_PARAMETERS
        }
        added = {"limit": str(query.limit), "after": after}
        parameters = {"access_token": viewer.viewer.token.value, **kept, **added}
        path = f"{call.path['version']}/act_{call.path['number']}/insights"
        return f"{self._provider.state.origin}/graph/{path}?{urlencode(parameters)}"


def _cursor(blanks: int, position: int) -> str:
    return base64.urlsafe_b64encode(f"{blanks}:{position}".encode()).rstrip(b"=").decode()


def _position(cursor: str | None, subject: Subject) -> tuple[int, int]:
    if cursor is None:
        return 0, 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    match = re.fullmatch(r"([0-9]{1,6}):([0-9]{1,9})", text)
    if match is None:
        raise bad_parameter("Invalid cursors values", subject)
    return int(match[1]), int(match[2])
