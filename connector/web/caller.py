"""Who calls, and what they may: each route says what it needs; one that says nothing is closed.

A route is made with `route`, which lets nobody through but who may. An account that a caller may
not see answers as one that does not exist (CHECKLIST 147).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from connector.api_key import ApiKey
from connector.errors import UnknownAccount
from connector.web.problems import problem

#: Where `access.AccessCheck` puts who calls.
KEY: Final = "connector.caller"
#: Any key is good for it.
ANY: Final = "any"

Endpoint = Callable[[Request], Awaitable[Response]]


def _nobody(_outcome: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls.

    Attributes:
        key: the API key; None: this user, over the Unix socket, who may do everything.
        refused: is told, in a word, what was refused to them.
    """

    key: ApiKey | None = None
    refused: Callable[[str], None] = _nobody

    def may(self, scope: str) -> bool:
        """Tell whether a scope is theirs."""
        return self.key is None or scope == ANY or self.key.may(scope)

    def sees(self, account: str) -> bool:
        """Tell whether an account is any of their business."""
        return self.key is None or self.key.sees(account)


def caller_of(scope: Scope) -> Caller:
    """Give who calls; `access.AccessCheck` has let nobody through unnamed."""
    caller: Caller = scope[KEY]
    return caller


def route(path: str, endpoint: Endpoint, needs: str, *, methods: Sequence[str]) -> Route:
    """Make a route that only those may use who have a scope.

    Args:
        path: as `starlette.routing.Route` takes it; where it has an ``account``, that must be
            theirs too.
        endpoint: answers.
        needs: a scope, or `ANY`.
        methods: of HTTP.
    """

    async def guarded(request: Request) -> Response:
        caller = caller_of(request.scope)
        if not caller.may(needs):
            caller.refused("lacks_scope")
            return problem(403, "forbidden", f"this key has not the scope {needs}")
        account = request.path_params.get("account")
        if account is not None and not caller.sees(account):
            caller.refused("not_theirs")
            raise UnknownAccount(account, None)
        try:
            return await endpoint(request)
        except UnknownAccount as error:
            if caller.key is None:
                raise
            raise UnknownAccount(error.account, None) from None  # the nearest may not be theirs

    return Route(path, guarded, methods=list(methods))
