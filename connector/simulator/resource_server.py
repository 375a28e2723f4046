"""The resource server under /api: a small ads API behind bearer tokens (RFC 6750).

Records are numbered by day and ad; `after` names the last one seen, so that a page can be asked
for again and nothing is skipped when figures change in between.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import date, timedelta

from starlette.routing import Route

from connector.simulator.ad_accounts import AdAccount
from connector.simulator.ads_data import AdDay, AdsData
from connector.simulator.call import Call, RefusedError, Reply, Subject, json_response
from connector.simulator.endpoint import Row, Stage, routes
from connector.simulator.oauth.bearer import Bearer, preview_bearer, read_bearer
from connector.simulator.parameters import Parameters
from connector.simulator.state import State

READ_SCOPE = "ads_read"

# Most that a client may ask for at once.
LARGEST_PAGE = 500

# What is given where the request names no first day.
DEFAULT_DAYS = 30

PARAMETERS = frozenset({"ad_account", "since", "until", "limit", "after"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightsRequest:
    """Which records are asked for."""

    account: AdAccount
    since: date
    until: date
    limit: int
    after: tuple[str, str] | None
    """Day and ad of the last record seen."""


class ResourceServer:
    """The endpoints under /api."""

    def __init__(self, state: State, ads: AdsData) -> None:
        self._state = state
        self._ads = ads

    def preview(self, call: Call) -> Subject:
        """Whom a request is about."""
        return preview_bearer(call, self._state)

    def me(self, call: Call) -> Reply:
        """The person behind the token.

        Raises:
            BearerError: no valid token.
        """
        bearer = read_bearer(call, self._state)
        person = bearer.token.grant.person
        body = {
            "id": person.id if person else bearer.token.grant.client_id,
            "name": person.full_name if person else None,
            "scope": " ".join(bearer.token.scope),
        }
        return Reply(response=json_response(body), subject=bearer.subject)

    def ad_accounts(self, call: Call) -> Reply:
        """The person's ad accounts.

        Raises:
            BearerError: no valid token with the scope ads_read.
        """
        bearer = read_bearer(call, self._state, scope=READ_SCOPE)
        data = [
            {
                "id": account.id,
                "name": account.name,
                "currency": account.currency,
                "timezone": account.timezone_name,
            }
            for account in self._ads.accounts_of(bearer.subject.person or "")
        ]
        return Reply(response=json_response({"data": data, "paging": {}}), subject=bearer.subject)

    def insights(self, call: Call) -> Reply:
        """A page of records.

        Raises:
            BearerError: no valid token with the scope ads_read.
            RefusedError: the request makes no sense, or the ad account is not the person's.
        """
        bearer = read_bearer(call, self._state, scope=READ_SCOPE)
        asked = self._read(call.query(), bearer)
        subject = Subject(
            client_id=bearer.subject.client_id,
            person=bearer.subject.person,
            family=bearer.subject.family,
            ad_account=asked.account.id,
        )
        rows = self._ads.rows(asked.account, asked.since, asked.until)
        left = [row for row in rows if asked.after is None or _key(row) > asked.after]
        page = left[: asked.limit]
        paging = {"after": _cursor(page[-1])} if len(left) > len(page) else {}
        body = {"data": [row.record() for row in page], "paging": paging}
        return Reply(response=json_response(body), subject=subject)

    def _read(self, parameters: Parameters, bearer: Bearer) -> InsightsRequest:
        unknown = sorted({name for name, _ in parameters} - PARAMETERS)
        if unknown or parameters.repeated():
            raise _bad_request("a parameter is unknown or repeated", bearer)
        account = self._ads.find(parameters.get("ad_account") or "")
        if account is None or account.owner != bearer.subject.person:
            raise _bad_request("no such ad account", bearer, status=404)
        try:
            until = _day(parameters.get("until")) or self._ads.today(account)
            since = _day(parameters.get("since")) or until - timedelta(days=DEFAULT_DAYS - 1)
            limit = _limit(parameters.get("limit"), self._state.settings.api_page_size)
            after = _after(parameters.get("after"))
        except (ValueError, OverflowError) as error:
            raise _bad_request(str(error), bearer) from None
        if since > until:
            raise _bad_request("since is later than until", bearer)
        return InsightsRequest(account=account, since=since, until=until, limit=limit, after=after)


def api_routes(state: State, ads: AdsData, stage: Stage) -> list[Route]:
    """Everything under /api."""
    server = ResourceServer(state, ads)
    rows = (
        Row("/api/me", "api_me", server.me, preview=server.preview),
        Row("/api/ad_accounts", "api_ad_accounts", server.ad_accounts, preview=server.preview),
        Row("/api/insights", "api_insights", server.insights, preview=server.preview),
    )
    return routes(rows, stage)


def _bad_request(description: str, bearer: Bearer, *, status: int = 400) -> RefusedError:
    error = "not_found" if status == 404 else "invalid_request"
    body = {"error": error, "error_description": description}
    response = json_response(body, status=status)
    return RefusedError(Reply(response=response, outcome=error, subject=bearer.subject))


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        raise ValueError("a date looks like 2026-01-31")
    return date.fromisoformat(text)


def _limit(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= LARGEST_PAGE:
        message = f"limit is a number from 1 to {LARGEST_PAGE}"
        raise ValueError(message)
    return int(text)


def _key(row: AdDay) -> tuple[str, str]:
    return row.day.isoformat(), row.ad.ad_id


def _cursor(row: AdDay) -> str:
    return base64.urlsafe_b64encode(" ".join(_key(row)).encode()).rstrip(b"=").decode()


def _after(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    day, separator, ad = text.partition(" ")
    if not separator:
        raise ValueError("after is not a cursor of ours")
    return day, ad
