"""The signed request that the provider POSTs to an app whose person removed it.

It is `signature.payload`, both base64url without padding; the signature is HMAC-SHA256 under the
app's secret over the payload as it is encoded, not over its JSON.
"""

import base64
import hashlib
import hmac
import json

ALGORITHM = "HMAC-SHA256"


def signed_request(user_id: str, app_secret: str, *, now: float) -> str:
    """The form field `signed_request` for a person."""
    payload = {"algorithm": ALGORITHM, "issued_at": int(now), "user_id": user_id}
    encoded = _encoded(json.dumps(payload, separators=(",", ":")).encode())
    signature = hmac.new(app_secret.encode(), encoded.encode(), hashlib.sha256).digest()
    return f"{_encoded(signature)}.{encoded}"


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
