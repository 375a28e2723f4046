"""Opaque values: tokens, codes and ids that say nothing, and fingerprints that may be shown.

Everything a client receives is unguessable (RFC 6749 §10.10); what the ledger keeps of it is a
short hash that cannot be turned back.
"""

import hashlib
import secrets

# 256 bits, twice what RFC 6749 §10.10 asks for.
TOKEN_BYTES = 32

# 48 bits: a test tells its tokens apart by it, and nobody presents it as a token.
FINGERPRINT_LENGTH = 12

# No vowels and nothing that looks alike (RFC 8628 §6.1).
USER_CODE_ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"


def new_token(prefix: str, *, padding: int = 0) -> str:
    """A fresh unguessable value that starts with `prefix` and ends in `padding` letters."""
    return f"{prefix}{secrets.token_urlsafe(TOKEN_BYTES)}{'x' * padding}"


def new_user_code() -> str:
    """A fresh user code of the device grant, such as `WDJB-MJHT` (RFC 8628 §6.1)."""
    letters = "".join(secrets.choice(USER_CODE_ALPHABET) for _ in range(8))
    return f"{letters[:4]}-{letters[4:]}"


def fingerprint(value: str) -> str:
    """What may be shown of a secret value: a short, stable, one-way name for it."""
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:FINGERPRINT_LENGTH]
