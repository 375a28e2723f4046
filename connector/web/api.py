"""The HTTP API besides tokens: accounts, and links that lead a person to consent."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connector.account_name import check_account_name
from connector.accounts_view import account_view
from connector.runtime import Runtime
from connector.web.connect_link import ConnectLinks
from connector.web.problems import problem

#: No request to this API needs more.
LARGEST_BODY = 64 * 1024


class Api:
    """Routes of the API.

    Args:
        runtime: the daemon's objects.
        links: makes connect links.
    """

    def __init__(self, runtime: Runtime, links: ConnectLinks) -> None:
        self._runtime = runtime
        self._links = links

    def routes(self) -> list[Route]:
        """Give the routes; that of one account comes last, since names hold slashes."""
        return [
            Route("/v1/accounts", self.accounts, methods=["GET"]),
            Route("/v1/consents", self.begin_consent, methods=["POST"]),
            Route("/v1/accounts/{account:path}", self.account, methods=["GET"]),
        ]

    async def accounts(self, _request: Request) -> Response:
        """List all accounts."""
        accounts = await self._runtime.accounts.all()
        return JSONResponse([account_view(account) for account in accounts])

    async def account(self, request: Request) -> Response:
        """Show one account."""
        account = await self._runtime.accounts.require(request.path_params["account"])
        return JSONResponse(account_view(account))

    async def begin_consent(self, request: Request) -> Response:
        """Make a connect link for an account."""
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return problem(415, "unsupported-media-type", "the body must be application/json")
        body = await request.body()
        if len(body) > LARGEST_BODY:
            return problem(413, "content-too-large", f"at most {LARGEST_BODY} bytes")
        try:
            wish = json.loads(body)
            provider, account = wish["provider"], wish["account"]
        except (ValueError, KeyError, TypeError):
            return problem(400, "bad-request", "provider and account are needed")
        if not isinstance(provider, str) or not isinstance(account, str):
            return problem(400, "bad-request", "provider and account must be strings")
        try:
            check_account_name(account)
        except ValueError as error:
            return problem(400, "bad-request", str(error))
        if provider not in self._runtime.settings.providers:
            return problem(400, "bad-request", f"there is no provider {provider!r}")
        started, url = await self._links.make(provider, account)
        return JSONResponse(
            {"connect_url": url, "consent": started.id}, headers={"Cache-Control": "no-store"}
        )
