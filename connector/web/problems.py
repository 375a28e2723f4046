"""Errors as problem documents (RFC 9457); their ``type`` ends in the error's name."""

import json
import math
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from connector import errors

TYPE_PREFIX: Final = "urn:connector:problem:"
#: What a 401 asks for (RFC 6750 §3).
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="connector"'}

_STATUS: Final[dict[type[errors.ConnectorError], int]] = {
    errors.UnknownAccount: 404,
    errors.Refused: 403,
    errors.ConsentRequired: 409,
    errors.ConsentNotGiven: 409,
    errors.TemporarilyUnavailable: 503,
    errors.VaultSealed: 503,
    errors.RegistrationRejected: 502,
    errors.ConfigurationError: 500,
}


class _ProblemResponse(JSONResponse):
    """JSON in printable ASCII: what is shown again of a request commands no terminal."""

    media_type = "application/problem+json"

    def render(self, content: object) -> bytes:
        text = json.dumps(content, allow_nan=False, separators=(",", ":"))
        return text.replace("\x7f", "\\u007f").encode()


def problem(
    status: int,
    name: str,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    members: dict[str, object] | None = None,
) -> JSONResponse:
    """Make a problem document.

    Args:
        status: the HTTP status.
        name: the error's name in kebab case.
        detail: for people; nothing secret.
        headers: further ones.
        members: further members of the document.
    """
    document = {
        "type": f"{TYPE_PREFIX}{name}",
        "title": name.replace("-", " "),
        "status": status,
        "detail": detail,
        **(members or {}),
    }
    return _ProblemResponse(
        document, status_code=status, headers={"Cache-Control": "no-store", **(headers or {})}
    )


def too_many_requests(wait: float) -> JSONResponse:
    """Make the answer to a caller who calls too often (RFC 6585 §4).

    Args:
        wait: for how many seconds they should not.
    """
    after = math.ceil(wait)
    return problem(
        429,
        "too-many-requests",
        f"too many requests: ask again in {after} s",
        headers={"Retry-After": str(after)},
        members={"retry_after": after},
    )


async def answer_error(_request: Request, error: Exception) -> Response:
    """Turn one of our errors into a problem document."""
    assert isinstance(error, errors.ConnectorError)  # noqa: S101 - registered for these alone
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    headers: dict[str, str] = {}
    members: dict[str, object] = {}
    for name in ("account", "provider", "reason"):
        value = getattr(error, name, None)
        if value is not None:
            members[name] = value
    if isinstance(error, errors.ConsentRequired):
        members |= {"connect_url": error.connect_url, "command": error.command}
    elif isinstance(error, errors.TemporarilyUnavailable):
        members["retry_after"] = _seconds_until(error.retry_at)
        headers["Retry-After"] = str(members["retry_after"])
    return problem(status, error.problem_type(), str(error), headers=headers, members=members)


def _seconds_until(moment: datetime | None) -> int:
    if moment is None:
        return 5
    return max(1, math.ceil((moment - datetime.now(UTC)).total_seconds()))
