"""The HTTP API of past refreshes: what the token endpoint answered for an account, and how soon."""

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connector.errors import UnknownAccount
from connector.moment import rfc3339
from connector.runtime import Runtime
from connector.store.refresh_history import MOST_OF_AN_ACCOUNT, PastRefresh
from connector.web.caller import ANY, caller_of, route
from connector.web.problems import problem

DEFAULT_LIMIT: Final = 100


class Refreshes:
    """The route of past refreshes.

    Args:
        runtime: the daemon's objects.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [route("/v1/refreshes", self.refreshes, ANY, methods=["GET"])]

    async def refreshes(self, request: Request) -> Response:
        """List the last refreshes of an account, the newest first."""
        query = request.query_params
        name, text = query.get("account"), query.get("limit", str(DEFAULT_LIMIT))
        if not name:
            return problem(400, "bad-request", "account is needed")
        limit = int(text) if text.isdecimal() and len(text) <= len(str(MOST_OF_AN_ACCOUNT)) else 0
        if not 1 <= limit <= MOST_OF_AN_ACCOUNT:
            detail = f"limit must be a number from 1 to {MOST_OF_AN_ACCOUNT}"
            return problem(400, "bad-request", detail)
        caller = caller_of(request.scope)
        if not caller.sees(name):
            caller.refused("not_theirs")
            raise UnknownAccount(name)
        account = await self._runtime.accounts.require(name)
        found = await self._runtime.refresh_history.of_account(account.id, limit=limit)
        return JSONResponse([refresh_view(one) for one in found])


def refresh_view(refresh: PastRefresh) -> dict[str, object]:
    """Give a past refresh as a JSON object; its time as RFC 3339 in UTC, to the millisecond."""
    return {
        "at": rfc3339(refresh.at, "milliseconds"),
        "seconds": round(refresh.seconds, 3),
        "outcome": refresh.outcome,
        "error": refresh.error,
    }
