"""What a consent is bound to, frozen when it begins and sealed until its answer comes.

The answer is judged by this record alone, never by values of the answer or by a configuration that
was edited meanwhile (CHECKLIST 7).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from connector.oauth.authorization_request import AuthorizationRequest
from connector.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRequest:
    """An authorization request and what it is bound to.

    Attributes:
        request: state, verifier, nonce, redirect URI, scopes.
        fingerprint: of the client registration and the server's endpoints.
        new_account: identifier of the account's row, where this consent has made it.
    """

    request: AuthorizationRequest
    fingerprint: str
    new_account: str | None = None

    def dump(self) -> bytes:
        """Write it as JSON; it holds secrets, and goes through the vault next."""
        request = self.request
        record = {
            "client_id": request.client_id,
            "redirect_uri": request.redirect_uri,
            "scopes": list(request.scopes),
            "state": request.state.reveal(),
            "code_verifier": _reveal(request.code_verifier),
            "nonce": _reveal(request.nonce),
            "parameters": dict(request.parameters),
            "fingerprint": self.fingerprint,
            "new_account": self.new_account,
        }
        return json.dumps(record).encode()

    @classmethod
    def load(cls, text: bytes) -> "FrozenRequest":
        """Read what `dump` wrote."""
        record = json.loads(text)
        return cls(
            request=AuthorizationRequest(
                client_id=record["client_id"],
                redirect_uri=record["redirect_uri"],
                scopes=tuple(record["scopes"]),
                state=Secret(record["state"]),
                code_verifier=_secret(record["code_verifier"]),
                nonce=_secret(record["nonce"]),
                parameters=cast("Mapping[str, str]", record["parameters"]),
            ),
            fingerprint=record["fingerprint"],
            new_account=record.get("new_account"),
        )


def _reveal(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


def _secret(value: str | None) -> Secret | None:
    return None if value is None else Secret(value)
