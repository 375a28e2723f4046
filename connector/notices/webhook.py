"""A channel that sends a signed request, as Standard Webhooks 1.0 has it.

``webhook-signature`` holds HMAC-SHA256 over ``id.timestamp.body``, in base64, behind ``v1,``; one
for each secret, separated by spaces, so that a secret can be replaced. The identifier is that of
the telling: the same whenever it is sent again. No redirect is followed.
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Final

from connector.errors import ConfigurationError, Problem
from connector.notices.channel import Undelivered
from connector.notices.wording import Message
from connector.oauth.token_response import NeverSent, OutcomeUnknown
from connector.oauth.wire import Wire
from connector.secret import Secret, SecretReference

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what it begins with
#: The specification wants from 24 to 64 bytes.
_SECRET_BYTES: Final = range(24, 65)


class WebhookChannel:
    """Sends signed requests to one address.

    Args:
        name: as of every channel.
        url: where to; not shown, for it may hold a token.
        keys: that sign, the newest first.
        wire: sends.
    """

    def __init__(self, *, name: str, url: Secret, keys: Sequence[bytes], wire: Wire) -> None:
        self.name = name
        self._url = url
        self._keys = tuple(keys)
        self._wire = wire

    async def send(self, message: Message, *, now: float) -> None:
        """Send it once; see `channel.Channel`."""
        body = json.dumps(message.body, ensure_ascii=False).encode()
        timestamp = int(now)
        headers = {
            "content-type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(
                sign(key, message.id, timestamp, body) for key in self._keys
            ),
        }
        answer = await self._wire.send("POST", self._url.reveal(), headers, body)
        if isinstance(answer, NeverSent | OutcomeUnknown):
            raise Undelivered(answer.cause)
        if not 200 <= answer.status < 300:
            raise Undelivered(f"it answered HTTP {answer.status}")

    async def aclose(self) -> None:
        """Let go of the transport."""
        await self._wire.aclose()


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Give the signature of a request.

    Args:
        key: the secret's bytes.
        message_id: of the telling.
        timestamp: seconds since the epoch.
        body: as it is sent.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def read_key(reference: SecretReference) -> bytes:
    """Read a signing secret: ``whsec_`` and base64, as Standard Webhooks writes it.

    Raises:
        ConfigurationError: it is not there, or none.
    """
    text = reference.resolve().reveal()
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) not in _SECRET_BYTES:
        message = f"is not {SECRET_PREFIX} and the base64 of 24 to 64 bytes"
        remedy = "make one: echo whsec_$(head -c 32 /dev/urandom | base64)"
        raise ConfigurationError([Problem(reference.source, reference.key, message, remedy)])
    return key
