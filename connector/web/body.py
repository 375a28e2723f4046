"""JSON bodies of requests: small, and nothing but an object."""

import json
from typing import Final

from starlette.requests import Request

#: No request to this API needs more (bytes).
LARGEST_BODY: Final = 64 * 1024


class UnusableBody(Exception):
    """A body is not what the route takes.

    Attributes:
        status: the HTTP status of the answer.
        name: of the problem.
        detail: for people.
    """

    def __init__(self, status: int, name: str, detail: str) -> None:
        self.status = status
        self.name = name
        self.detail = detail
        super().__init__(detail)


async def read_object(request: Request, *, is_optional: bool = False) -> dict[str, object]:
    """Read a JSON object.

    Args:
        request: whose body it is.
        is_optional: no body is an empty object.

    Raises:
        UnusableBody: it is too long, of another type, or no JSON object.
    """
    body = b""
    async for chunk in request.stream():  # no more is taken in than is allowed
        body += chunk
        if len(body) > LARGEST_BODY:
            raise UnusableBody(413, "content-too-large", f"at most {LARGEST_BODY} bytes")
    if is_optional and not body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise UnusableBody(415, "unsupported-media-type", "the body must be application/json")
    try:
        value = json.loads(body)
        # half a pair of surrogates is no text: nothing can write it down (RFC 7493 §2.1)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise UnusableBody(400, "bad-request", "the body is not JSON") from None
    if not isinstance(value, dict):
        raise UnusableBody(400, "bad-request", "the body must be a JSON object")
    return value
