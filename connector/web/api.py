"""The HTTP API besides tokens and jobs: accounts, and links that lead a person to consent."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connector.account_name import check_account_name
from connector.accounts_view import account_view
from connector.api_key import ADMIN
from connector.consent.connect_links import DEFAULT_LIFETIME
from connector.errors import UnknownAccount
from connector.moment import rfc3339
from connector.runtime import Runtime
from connector.web.body import UnusableBody, read_object
from connector.web.caller import ANY, caller_of, route
from connector.web.connect_link import ConnectLinkPages
from connector.web.tokens import misdirected


class Api:
    """Routes of the API.

    Args:
        runtime: the daemon's objects.
        links: makes connect links.
    """

    def __init__(self, runtime: Runtime, links: ConnectLinkPages) -> None:
        self._runtime = runtime
        self._links = links

    def routes(self) -> list[Route]:
        """Give the routes; that of one account comes last, since names hold slashes."""
        return [
            route("/v1/accounts", self.accounts, ANY, methods=["GET"]),
            route("/v1/consents", self.begin_consent, "consent:create", methods=["POST"]),
            route("/v1/accounts/{account:path}/revoke", self.revoke, ADMIN, methods=["POST"]),
            route("/v1/accounts/{account:path}", self.account, ANY, methods=["GET"]),
        ]

    async def accounts(self, request: Request) -> Response:
        """List the accounts that the caller may see."""
        caller = caller_of(request.scope)
        accounts = await self._runtime.accounts.all()
        return JSONResponse([account_view(one) for one in accounts if caller.sees(one.name)])

    async def account(self, request: Request) -> Response:
        """Show one account."""
        if (refusal := misdirected(request, self._runtime.settings)) is not None:
            return refusal
        account = await self._runtime.accounts.require(request.path_params["account"])
        return JSONResponse(account_view(account))

    async def revoke(self, request: Request) -> Response:
        """Destroy an account's tokens and revoke them at the provider.

        What the provider has not confirmed yet is answered 202: the daemon tries again.
        """
        name = request.path_params["account"]
        outcome = await self._runtime.revoker.revoke(name)
        self._runtime.tokens.forget(name)
        retry_at = outcome.retry_at
        return JSONResponse(
            {
                "account": name,
                "confirmed": outcome.is_confirmed,
                "offered": outcome.is_offered,
                "cause": outcome.cause or None,
                "retry_at": rfc3339(retry_at.timestamp()) if retry_at else None,
            },
            status_code=200 if outcome.is_confirmed else 202,
        )

    async def begin_consent(self, request: Request) -> Response:
        """Make a connect link for an account."""
        wish = await read_object(request)
        provider, account = wish.get("provider"), wish.get("account")
        if not isinstance(provider, str) or not isinstance(account, str):
            raise UnusableBody(400, "bad-request", "provider and account are needed, as strings")
        try:
            check_account_name(account)
        except ValueError as error:
            raise UnusableBody(400, "bad-request", str(error)) from None
        caller = caller_of(request.scope)
        if not caller.sees(account):
            caller.refused("not_theirs")
            raise UnknownAccount(account)
        if provider not in self._runtime.settings.providers:
            raise UnusableBody(400, "bad-request", f"there is no provider {provider!r}")
        lifetime = wish.get("expires_in", DEFAULT_LIFETIME)
        with_code = wish.get("with_code", False)
        if not isinstance(lifetime, int | float) or isinstance(lifetime, bool):
            raise UnusableBody(400, "bad-request", "expires_in must be a number of seconds")
        if not isinstance(with_code, bool):
            raise UnusableBody(400, "bad-request", "with_code must be true or false")
        try:
            made, url = await self._links.make(
                provider, account, lifetime=lifetime, with_code=with_code
            )
        except ValueError as error:
            raise UnusableBody(400, "bad-request", f"expires_in must be {error}") from None
        return JSONResponse(
            {"connect_url": url, "expires_at": rfc3339(made.expires_at), "code": made.code},
            headers={"Cache-Control": "no-store"},
        )
