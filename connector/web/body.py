"""Bodies of requests: small; of JSON nothing but an object."""

import json
from typing import Final
from urllib.parse import parse_qsl

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
    body = await _read(request)
    if is_optional and not body:
        return {}
    if _content_type(request) != "application/json":
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


async def read_form(request: Request) -> dict[str, str]:
    """Read a form; of a field that comes twice the last value, of no form nothing.

    Args:
        request: whose body it is.

    Raises:
        UnusableBody: it is too long.
    """
    body = await _read(request)
    if _content_type(request) != "application/x-www-form-urlencoded":
        return {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


async def _read(request: Request) -> bytes:
    """Take in no more than is allowed, whatever the headers say."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise UnusableBody(413, "content-too-large", f"at most {LARGEST_BODY} bytes")
    return body


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
