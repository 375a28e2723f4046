"""Bounds on the size of a request, before anything looks at what it says (CHECKLIST 152).

The head as a whole is bounded where it is read, see `bounded`; here are the target and the number
of header fields (RFC 9110 §15.5.15, RFC 6585 §5). A body is counted as it comes, whatever length it
claims to have, and must have come in time.
"""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.web.body import LARGEST_BODY, UnusableBody
from connector.web.problems import problem

#: Path and query (bytes): what a provider sends to the redirect URI has some 4 KiB at most.
LONGEST_TARGET: Final = 8 * 1024
#: Browsers send some twenty, proxies add a few.
MOST_HEADERS: Final = 100
#: A body must have come after this long (seconds).
BODY_TIME: Final = 10.0
#: For the description of the API.
ANY_REQUEST: Final = (
    "Any request may be answered 408 (it came too slowly), 414 (path and query over 8 KiB) or 431"
    " (head over 16 KiB or 100 fields), over TCP also 503 (too many connections) and, with a key or"
    " in the place of a 401, 429 (too often; Retry-After says for how many seconds to wait)"
)
_WITHOUT_BODY: Final = frozenset({"GET", "HEAD"})


class SizeLimits:
    """Refuses requests that are larger than any of ours.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer with a problem document."""
        if scope["type"] == "http":
            if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_TARGET:
                detail = f"path and query have at most {LONGEST_TARGET} bytes"
                await problem(414, "uri-too-long", detail)(scope, receive, send)
                return
            if len(scope["headers"]) > MOST_HEADERS:
                detail = f"a request has at most {MOST_HEADERS} header fields"
                answer = problem(431, "request-header-fields-too-large", detail)
                await answer(scope, receive, send)
                return
            if scope["method"] not in _WITHOUT_BODY:
                receive = _bounded(receive)
        await self._app(scope, receive, send)


def _bounded(receive: Receive) -> Receive:
    """Give a `receive` that takes in no more than `LARGEST_BODY`, within `BODY_TIME`."""
    size = 0
    is_whole = False
    ends_at = asyncio.get_running_loop().time() + BODY_TIME

    async def bounded() -> Message:
        nonlocal size, is_whole
        if is_whole:  # what may come now is that the caller has hung up
            return await receive()
        try:
            async with asyncio.timeout_at(ends_at):
                message = await receive()
        except TimeoutError:
            detail = f"the body must have come after {BODY_TIME:.0f} s"
            raise UnusableBody(408, "request-timeout", detail) from None
        size += len(message.get("body", b""))
        if size > LARGEST_BODY:
            raise UnusableBody(413, "content-too-large", f"at most {LARGEST_BODY} bytes")
        is_whole = not message.get("more_body", False)
        return message

    return bounded
