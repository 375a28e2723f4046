"""Our registration at an authorization server, and how we authenticate there (RFC 6749 §2.3).

Authlib does the work (form credentials, signed assertions); ``client_secret_basic`` is ours,
because identifier and secret must be form-encoded before base64 (RFC 6749 §2.3.1) and Authlib does
not. Exactly one method is used per request; none is found out by trial.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, cast
from urllib.parse import quote_plus

from connector.oauth.authorization_server import AuthorizationServer
from connector.secret import Secret

AuthMethod = Literal[
    "client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"
]
AUTH_METHODS: Final[tuple[AuthMethod, ...]] = (
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "none",
)
#: An assertion is used at once; five minutes allow for a clock that is off (RFC 7523 §3).
ASSERTION_LIFETIME: Final = 300

#: How an algorithm's name begins → the key type it needs (RFC 7518 §3.1, RFC 8037, RFC 9864).
_KEY_TYPES: Final[dict[str, Literal["EC", "RSA", "OKP"]]] = {
    "ES": "EC",
    "RS": "RSA",
    "PS": "RSA",
    "Ed": "OKP",
}

Prepared = tuple[str, dict[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRegistration:
    """What the authorization server knows us by.

    Attributes:
        client_id: the identifier.
        auth_method: how we authenticate at the token endpoint.
        client_secret: for the ``client_secret_*`` methods.
        private_key: PEM, for ``private_key_jwt``.
        signing_algorithm: of assertions (RFC 7518 §3.1).
    """

    client_id: str
    auth_method: AuthMethod
    client_secret: Secret | None = None
    private_key: Secret | None = None
    signing_algorithm: str = "ES256"

    def authenticate(
        self,
        server: AuthorizationServer,
        url: str,
        headers: dict[str, str],
        body: str,
        *,
        now: float,
    ) -> Prepared:
        """Add our credentials to a request.

        Args:
            server: its issuer is an assertion's audience (RFC 7523bis).
            url: where the request goes.
            headers: of the request.
            body: form-encoded parameters.
            now: seconds since the epoch, for assertions.

        Returns:
            URL, headers and body with exactly one method of authentication.
        """
        from authlib.oauth2.auth import ClientAuth  # 40 ms for those who send

        method: str | Callable[..., Prepared] = self.auth_method
        secret: object = self.client_secret.reveal() if self.client_secret else ""
        if self.auth_method == "client_secret_basic":
            method = _client_secret_basic
        elif self.auth_method in {"client_secret_jwt", "private_key_jwt"}:
            method, secret = self._assertion(server, url, now)
        auth = ClientAuth(self.client_id, secret, method)
        return cast("Prepared", auth.prepare("POST", url, headers, body))

    def _assertion(
        self, server: AuthorizationServer, url: str, now: float
    ) -> tuple[Callable[..., Prepared], object]:
        from authlib.oauth2.rfc7523 import ClientSecretJWT, PrivateKeyJWT
        from joserfc.jwk import OctKey, import_key

        claims = {"iat": int(now), "exp": int(now) + ASSERTION_LIFETIME}
        audience = server.issuer or url
        if self.auth_method == "client_secret_jwt":
            secret = self.client_secret.reveal() if self.client_secret else ""
            return ClientSecretJWT(audience, claims=claims), OctKey.import_key(secret)
        pem = self.private_key.reveal() if self.private_key else ""
        key = import_key(pem, _KEY_TYPES[self.signing_algorithm[:2]])
        return PrivateKeyJWT(audience, claims=claims, alg=self.signing_algorithm), key

    def check(self, server: AuthorizationServer) -> None:
        """Sign for once, where we authenticate by a signature.

        Raises:
            ValueError: the key does not fit the algorithm, or is none; never quotes it.
        """
        if self.auth_method not in {"client_secret_jwt", "private_key_jwt"}:
            return
        from joserfc.errors import JoseError

        try:
            self.authenticate(server, server.token_endpoint, {}, "", now=0.0)
        except (JoseError, ValueError, TypeError, KeyError):
            if self.auth_method == "client_secret_jwt":
                raise ValueError("holds no secret that can sign") from None
            raise ValueError(f"holds no PEM private key for {self.signing_algorithm}") from None

    def prove(self, access_token: Secret) -> str | None:
        """Give the HMAC-SHA256 of an access token under our secret (Facebook's appsecret_proof)."""
        if self.client_secret is None:
            return None
        key, message = self.client_secret.reveal().encode(), access_token.reveal().encode()
        return hmac.new(key, message, hashlib.sha256).hexdigest()

    def fingerprint(self, server: AuthorizationServer) -> str:
        """Give a digest of where our tokens may go: client, issuer and endpoints.

        An account keeps the one under which its tokens were issued; under another one they are
        not sent (CHECKLIST 32, 76). The secret is no part of it: it may be renewed at any time.
        """
        return fingerprint(self.client_id, server)


def fingerprint(client_id: str, server: AuthorizationServer) -> str:
    """Give a digest of where tokens may go; see `ClientRegistration.fingerprint`."""
    parts = [
        client_id,
        server.issuer,
        server.authorization_endpoint,
        server.token_endpoint,
        server.revocation.endpoint if server.revocation else None,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _client_secret_basic(
    client: object, _method: str, url: str, headers: dict[str, str], body: str
) -> Prepared:
    """Authenticate by HTTP Basic with form-encoded parts (RFC 6749 §2.3.1)."""
    client_id, secret = (
        quote_plus(str(getattr(client, name)), safe="") for name in ("client_id", "client_secret")
    )
    credentials = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return url, {**headers, "Authorization": f"Basic {credentials}"}, body
