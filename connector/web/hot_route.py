"""The token route where memory has the answer: given before any router looks at the request.

It answers what needs nothing done and nothing decided: a plain GET of a token that is fresh, by a
caller who may have it. Everything else, refusals included, is left to the route in `tokens`, whose
answer to the same request is the same to the letter.
"""

from typing import Final

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.token_source.memory import TokenMemory
from connector.token_source.reads import TokenReads
from connector.token_source.releases import Releases
from connector.web.caller import caller_of
from connector.web.metrics.requests import TEMPLATE
from connector.web.tokens import TOKEN_READ, TOKEN_TEMPLATE, token_fields

_PREFIX: Final = "/v1/accounts/"
_SUFFIX: Final = "/token"


class HotRoute:
    """Answers from memory, or passes on.

    Args:
        app: the application, behind the check of who calls.
        memory: of this process.
        releases: counts what is given.
        reads: likewise.
    """

    def __init__(
        self, app: ASGIApp, memory: TokenMemory, releases: Releases, reads: TokenReads
    ) -> None:
        self._app = app
        self._memory = memory
        self._releases = releases
        self._reads = reads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        body = self._body(scope)
        if body is None:
            await self._app(scope, receive, send)
            return
        headers = [
            (b"cache-control", b"no-store"),
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _body(self, scope: Scope) -> bytes | None:
        path: str = scope["path"]
        if (
            scope["method"] != "GET"
            or scope["query_string"]
            or not path.startswith(_PREFIX)
            or not path.endswith(_SUFFIX)
        ):
            return None
        for name, value in scope["headers"]:
            if name == b"connector-config" or (name == b"accept" and value == b"text/plain"):
                return None
        account = path[len(_PREFIX) : -len(_SUFFIX)]
        remembered = self._memory.fresh(account)
        if remembered is None:
            return None
        caller = caller_of(scope)
        if not caller.may(TOKEN_READ) or not caller.sees(account):
            return None
        self._releases.note(account, remembered.token)
        self._reads.count("memory", "http")
        if TEMPLATE in scope:
            scope[TEMPLATE][0] = TOKEN_TEMPLATE
        # as `starlette.responses.JSONResponse` writes, in a fifteenth of its time
        return orjson.dumps(token_fields(remembered.token))
