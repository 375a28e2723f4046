"""An API key: who may ask the daemon over TCP, for which accounts, and for what.

    ck_ID_SECRET

``ID`` finds the key and is no secret; ``SECRET`` is 256 random bits (base64url). Only the SHA-256
of the secret is kept: nobody guesses 256 bits, so that a slow hash would protect nothing more. A
key is shown once, when it is made (CHECKLIST 146).
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from connector.account_name import AccountGlob

#: What a key may be good for. ``admin`` is all of it, and revoking accounts.
SCOPES: Final = ("token:read", "consent:create", "jobs:run", "metrics:read", "admin")
ADMIN: Final = "admin"
LONGEST_NAME: Final = 64

_SECRET_BYTES: Final = 32
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TEXT: Final = re.compile(r"ck_(?P<id>[a-z2-7]{13})_(?P<secret>[A-Za-z0-9_-]{43})")
_ID_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept: it can be recognised, and not given away.

    Attributes:
        id: by which it is found.
        name: given by who made it; unique.
        digest: SHA-256 of its secret.
        accounts: which accounts it is good for.
        scopes: what it is good for, of `SCOPES`.
        created_at: when it was made (seconds since the epoch).
        expires_at: when it ends; None: never.
        revoked_at: when it was revoked.
        last_used_at: when it was last used, to a minute.
    """

    id: str
    name: str
    digest: bytes
    accounts: tuple[AccountGlob, ...]
    scopes: frozenset[str]
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None

    def is_good(self, now: float) -> bool:
        """Tell whether it is neither revoked nor over."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def may(self, scope: str) -> bool:
        """Tell whether it is good for a scope."""
        return scope in self.scopes or ADMIN in self.scopes

    def sees(self, account: str) -> bool:
        """Tell whether it is good for an account."""
        return any(glob.matches(account) for glob in self.accounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that was just made.

    Attributes:
        id: by which it is found.
        digest: of its secret.
        text: the whole key, to be shown once.
    """

    id: str
    digest: bytes
    text: str

    def __repr__(self) -> str:
        return f"NewKey(id={self.id!r})"


def new_key() -> NewKey:
    """Make a key."""
    identifier = "".join(secrets.choice(_ID_ALPHABET) for _ in range(13))
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    return NewKey(id=identifier, digest=_digest(secret), text=f"ck_{identifier}_{secret}")


def parse_key(text: str) -> tuple[str, str] | None:
    """Give the identifier and the secret of a key, or None where it is none."""
    match = _TEXT.fullmatch(text)
    return None if match is None else (match["id"], match["secret"])


def is_secret_of(key: ApiKey | None, secret: str) -> bool:
    """Compare a secret with a key's; takes as long where there is no key."""
    known = _NOBODY if key is None else key.digest
    return hmac.compare_digest(_digest(secret), known) and key is not None


def check_key_name(name: str) -> str:
    """Return the name if it is one.

    Raises:
        ValueError: it is none; says what one is.
    """
    if len(name) > LONGEST_NAME or _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} is not the name of a key: up to {LONGEST_NAME} of a-z, 0-9, '.', '_' and "
            "'-', beginning with a letter or digit"
        )
    return name


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


_NOBODY: Final = _digest("")
