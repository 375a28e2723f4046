"""The hot route: an access token of an account."""

import math
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from connector.moment import rfc3339
from connector.oauth.token import AccessToken
from connector.runtime import Runtime
from connector.secret import Secret
from connector.settings import Settings
from connector.web.caller import route
from connector.web.problems import problem

#: The hot route.
TOKEN_TEMPLATE: Final = "/v1/accounts/{account:path}/token"  # noqa: S105 - a path
#: The scope that these routes need.
TOKEN_READ: Final = "token:read"  # noqa: S105 - the name of a scope


class Tokens:
    """Routes that give tokens.

    Args:
        runtime: the daemon's objects.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [
            route(TOKEN_TEMPLATE, self.get, TOKEN_READ, methods=["GET"]),
            route(
                "/v1/accounts/{account:path}/refresh", self.refresh, TOKEN_READ, methods=["POST"]
            ),
        ]

    async def get(self, request: Request) -> Response:
        """Give an access token with at least ``min_ttl`` seconds left.

        With ``Accept: text/plain`` the answer is the token and a newline, for the command line.
        """
        if (refusal := misdirected(request, self._runtime.settings)) is not None:
            return refusal
        text = request.query_params.get("min_ttl")
        try:
            min_ttl = None if text is None else float(text)
        except ValueError:
            min_ttl = math.nan
        if min_ttl is not None and not 0 <= min_ttl < math.inf:
            return problem(400, "bad-request", "min_ttl must be a number of seconds")
        account = request.path_params["account"]
        is_strict = request.query_params.get("strict") == "true"
        begun = self._runtime.reads.begin(account)
        token = await self._runtime.tokens.get(account, min_ttl, is_strict=is_strict)
        self._runtime.reads.end(account, "http", begun)
        self._runtime.releases.note(account, token)
        if request.headers.get("accept") == "text/plain":
            return await self._plain(account, token)
        return token_answer(token)

    async def _plain(self, account: str, token: AccessToken) -> Response:
        provider = (await self._runtime.accounts.require(account)).provider
        headers = {
            "Cache-Control": "no-store",
            "Connector-Scheme": self._runtime.directory.provider(provider).api.scheme,
            "Connector-Is-Short": "yes" if token.is_short else "no",
        }
        return PlainTextResponse(f"{token.value}\n", headers=headers)

    async def refresh(self, request: Request) -> Response:
        """Force one refresh and give the new token.

        A program whose API has rejected a token names it in ``Connector-Rejected``: where the
        present one is another, or was minted just now, that is given (CHECKLIST 72).
        """
        if (refusal := misdirected(request, self._runtime.settings)) is not None:
            return refusal
        account = request.path_params["account"]
        rejected = request.headers.get("connector-rejected")
        begun = self._runtime.reads.begin(account)
        token = await self._runtime.tokens.refresh(
            account,
            rejected=None if rejected is None else Secret(rejected),
            ignore_backoff=rejected is None,  # a person asks
        )
        self._runtime.reads.end(account, "http", begun)
        self._runtime.releases.note(account, token)
        return token_answer(token)


def misdirected(request: Request, settings: Settings) -> Response | None:
    """Refuse a command of another configuration, whose accounts are others; None: it is ours."""
    config = request.headers.get("connector-config")
    if config is None or config == str(settings.path):
        return None
    return problem(421, "misdirected", "this daemon serves another configuration")


def token_answer(token: AccessToken) -> JSONResponse:
    """Make the answer that holds a token; never stored by anything on the way."""
    return JSONResponse(token_fields(token), headers={"Cache-Control": "no-store"})


def token_fields(token: AccessToken) -> dict[str, object]:
    """Give what callers are told of a token, and the token itself."""
    expires_at, expires_in = token.expires_at, token.expires_in
    return {
        "access_token": token.value,
        "token_type": token.token_type,
        "expires_at": rfc3339(expires_at, "auto"),
        "expires_in": None if expires_in is None else int(expires_in),
        "scope": token.scope,
    }
