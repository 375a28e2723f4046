"""The cookie that ties a consent to the browser that came by a connect link (CHECKLIST 5).

Its name is derived from the hash of its value, which is all that is stored: whoever reads the
database can neither name nor make it. Under https it has the ``__Host-`` prefix, so that no other
host of the same domain can plant one (RFC 6265bis §4.1.3.2).
"""

import hashlib
import hmac
import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

_NAME: Final = "connector_consent"
_BYTES: Final = 32


class BrowserCookie:
    """Sets and reads the cookie.

    Args:
        is_secure: people reach us by https.
    """

    def __init__(self, *, is_secure: bool) -> None:
        self._is_secure = is_secure
        self._prefix = f"__Host-{_NAME}" if is_secure else _NAME

    def new(self) -> str:
        """Make a value that nobody can guess."""
        return secrets.token_urlsafe(_BYTES)

    def read(self, request: Request, browser_hash: str) -> str | None:
        """Give the value that a browser presents, if it is the one with this hash."""
        value = request.cookies.get(self._name(browser_hash), "")
        return value if hmac.compare_digest(hash_of(value), browser_hash) else None

    def set(self, response: Response, value: str, *, max_age: float) -> None:
        """Give a browser the cookie.

        Args:
            response: that carries it.
            value: from `new`.
            max_age: seconds.
        """
        response.set_cookie(
            self._name(hash_of(value)),
            value,
            max_age=max(1, int(max_age)),
            path="/",
            secure=self._is_secure,
            httponly=True,
            samesite="lax",  # the answer comes from the provider's site
        )

    def _name(self, browser_hash: str) -> str:
        return f"{self._prefix}_{browser_hash[:16]}"


def hash_of(value: str) -> str:
    """Give what a browser's cookie is stored and compared by."""
    return hashlib.sha256(value.encode()).hexdigest()
